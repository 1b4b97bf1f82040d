/**
 * Input files, staged on disk as a tree of root's that the sandbox can only read. They are written before the
 * program starts and never while it can watch.
 */

import { constants } from 'node:fs';
import { chmod, mkdir, open } from 'node:fs/promises';
import path from 'node:path';
import { SlipwayError, systemCode } from '../../../base/errors.ts';
import { parseRelativePath } from '../../../model/paths.ts';
import type { InputFile } from '../../driver.ts';
import { itemsUntilAborted } from '../abort.ts';

const newFile = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/**
 * Writes the files below `root`, which is made.
 *
 * @throws SlipwayError `input-exists`, `input-size`, `bad-path`, `inputs-disk-full`; the signal's reason when it
 *   aborts
 */
export async function stageInputs(
  root: string,
  inputs: AsyncIterable<InputFile>,
  signal: AbortSignal,
): Promise<void> {
  try {
    await makeDirectory(root);
    const made = new Set<string>();
    for await (const input of itemsUntilAborted(inputs, signal)) {
      const relative = parseRelativePath(input.path, 'input file');
      await makeParents(root, relative, made).catch((error) => {
        throw isTaken(error) ? inputExists(relative) : error;
      });
      await stageFile(path.join(root, relative), input, signal);
    }
  } catch (error) {
    throw ['ENOSPC', 'EDQUOT'].includes(systemCode(error) ?? '') ? diskFull(root, error) : error;
  }
}

function diskFull(root: string, cause: unknown): SlipwayError {
  return new SlipwayError(
    'unavailable',
    'inputs-disk-full',
    `The disk is full: the input files cannot be written to ${root}. Free some space there.`,
    { cause },
  );
}

async function makeParents(root: string, relative: string, made: Set<string>): Promise<void> {
  for (let at = relative.indexOf('/'); at >= 0; at = relative.indexOf('/', at + 1)) {
    const parent = relative.slice(0, at);
    if (made.has(parent)) continue;
    await makeDirectory(path.join(root, parent));
    made.add(parent);
  }
}

/** Mode 0555 whatever the starter's umask is. */
async function makeDirectory(directory: string): Promise<void> {
  try {
    await mkdir(directory, { mode: 0o555 });
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return;
    throw error;
  }
  await chmod(directory, 0o555);
}

async function stageFile(file: string, input: InputFile, signal: AbortSignal): Promise<void> {
  await using handle = await open(file, newFile, 0o400).catch((error) => {
    throw isTaken(error) ? inputExists(input.path) : error;
  });
  let written = 0;
  for await (const bytes of itemsUntilAborted(input.content, signal)) {
    written += bytes.length;
    if (written > input.sizeBytes) throw wrongSize(input, written);
    await handle.writeFile(bytes);
  }
  if (written !== input.sizeBytes) throw wrongSize(input, written);
  await handle.chmod(0o444);
}

/** Something of another kind stands in the way. */
function isTaken(error: unknown): boolean {
  return ['EEXIST', 'ENOTDIR', 'EISDIR'].includes(systemCode(error) ?? '');
}

function inputExists(name: string): SlipwayError {
  return new SlipwayError(
    'invalid-input',
    'input-exists',
    `The input file ${JSON.stringify(name)} is there twice, or is also a directory. Name each file once.`,
  );
}

function wrongSize(input: InputFile, seen: number): SlipwayError {
  return new SlipwayError(
    'invalid-input',
    'input-size',
    `The input file ${JSON.stringify(input.path)} was announced with ${input.sizeBytes} bytes but has ${seen > input.sizeBytes ? 'more' : `only ${seen}`}.`,
  );
}
