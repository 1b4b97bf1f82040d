/** The files of a script, in memory: they are few and small, and a sandbox is chosen by what they import. */
import { readBytes } from '../base/bytes.ts';
import { scriptLimits } from '../model/runner-protocol.ts';
import type { InputFile } from '../runtime/driver.ts';

export interface ScriptFile {
  readonly path: string;
  readonly content: Buffer;
}

/** @throws SlipwayError `content-too-large` */
export async function readCode(files: AsyncIterable<InputFile>): Promise<readonly ScriptFile[]> {
  const code: ScriptFile[] = [];
  let room: number = scriptLimits.maxContentBytes;
  for await (const { path, content } of files) {
    const bytes = await readBytes(content, room);
    room -= bytes.length;
    code.push({ path, content: bytes });
  }
  return code;
}

export async function* toInputFiles(code: readonly ScriptFile[]): AsyncGenerator<InputFile> {
  for (const { path, content } of code) yield { path, sizeBytes: content.length, content: oneChunk(content) };
}

async function* oneChunk(content: Buffer): AsyncGenerator<Uint8Array> {
  yield content;
}

/**
 * Which of these modules the code seems to import, by its text. A wrong guess costs time, nothing else: a module
 * that was not preloaded is imported by the script, one that was preloaded in vain is never looked at.
 */
export function importedModules(code: readonly ScriptFile[], modules: readonly string[]): string[] {
  return modules.filter((module) => {
    const statement = new RegExp(`^[ \\t]*(?:import|from)[ \\t][^#\\n]*\\b${RegExp.escape(module)}\\b`, 'm');
    return code.some(({ content }) => statement.test(content.toString('latin1')));
  });
}
