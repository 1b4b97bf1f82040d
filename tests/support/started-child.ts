/** A script of tests/support as a process of its own, and what it prints. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

export interface StartedChild {
  readonly child: ChildProcess;
  readonly exited: Promise<unknown>;
  /** Resolves when it has printed so many lines; fails if it ends before. */
  lines(count: number): Promise<void>;
  line(text: string): Promise<void>;
  /** What it has printed, without an unfinished line. */
  completeLines(): readonly string[];
}

export function startChild(script: string, ...args: string[]): StartedChild {
  const path = join(import.meta.dirname, script);
  const child = spawn(process.execPath, [path, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  const exited = once(child, 'close');
  const completeLines = () => text.split('\n').slice(0, -1);
  const until = async (isThere: () => boolean) => {
    while (!isThere()) {
      assert.equal(child.exitCode, null, `${script} ended`);
      await Promise.race([once(child.stdout, 'data'), exited]);
    }
  };
  return {
    child,
    exited,
    completeLines,
    lines: (count) => until(() => completeLines().length >= count),
    line: (wanted) => until(() => completeLines().includes(wanted)),
  };
}
