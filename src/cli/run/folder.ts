/** The files of a folder, one after the other, never all in memory. Links and special files are left out. */
import { constants } from 'node:fs';
import { lstat, open, readdir } from 'node:fs/promises';
import path from 'node:path';
import { messageOf, SlipwayError } from '../../base/errors.ts';
import { parseRelativePath } from '../../model/paths.ts';
import type { LocalFile } from './backend.ts';

/** Told of what was left out, and why. */
export type OnSkipped = (path: string, reason: string) => void;

/**
 * Walks a folder, in the order of names.
 *
 * @throws SlipwayError `file-unreadable`, `file-changed` while a file is read
 */
export async function* walkFolder(root: string, onSkipped: OnSkipped): AsyncGenerator<LocalFile> {
  yield* walk({ root, onSkipped }, '');
}

/** How many bytes the files of a folder have now. */
export async function measureFolder(root: string): Promise<number> {
  let sizeBytes = 0;
  for await (const file of walkFolder(root, () => undefined)) sizeBytes += file.sizeBytes;
  return sizeBytes;
}

interface Walk {
  readonly root: string;
  readonly onSkipped: OnSkipped;
}

async function* walk(context: Walk, below: string): AsyncGenerator<LocalFile> {
  for (const name of await readNames(context, below)) {
    const relative = below === '' ? name : `${below}/${name}`;
    const stats = await lstat(path.join(context.root, relative));
    if (stats.isDirectory()) yield* walk(context, relative);
    else if (stats.isFile()) yield createLocalFile(path.join(context.root, relative), relative, stats.size);
    else
      context.onSkipped(relative, stats.isSymbolicLink() ? 'links are not followed' : 'not a regular file');
  }
}

/** Names that are not UTF-8 cannot be told to a sandbox faithfully. */
async function readNames({ root, onSkipped }: Walk, below: string): Promise<string[]> {
  const names = await readdir(path.join(root, below), { encoding: 'buffer' }).catch((cause: unknown) => {
    throw unreadable(path.join(root, below), cause);
  });
  const faithful = names.filter((name) => {
    const isText = Buffer.from(name.toString()).equals(name);
    if (!isText) onSkipped(path.posix.join(below, name.toString()), 'the name is not UTF-8');
    return isText;
  });
  return faithful.map(String).sort();
}

/** @param relative the path by which the sandbox knows the file */
export function createLocalFile(file: string, relative: string, sizeBytes: number): LocalFile {
  return { path: parseRelativePath(relative, 'file'), sizeBytes, read: () => readExactly(file, sizeBytes) };
}

/** A file that exists only in memory. */
export function createMemoryFile(relative: string, content: Buffer): LocalFile {
  return {
    path: parseRelativePath(relative, 'file'),
    sizeBytes: content.length,
    async *read() {
      if (content.length > 0) yield content;
    },
  };
}

async function* readExactly(file: string, sizeBytes: number): AsyncGenerator<Uint8Array> {
  await using handle = await openRegular(file);
  let left = sizeBytes;
  for await (const chunk of handle.createReadStream({ autoClose: false, highWaterMark: 256 * 1024 })) {
    left -= chunk.length;
    if (left < 0) break;
    yield chunk;
  }
  if (left !== 0) throw changed(file);
}

async function openRegular(file: string) {
  try {
    return await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (cause) {
    throw unreadable(file, cause);
  }
}

function unreadable(file: string, cause: unknown): SlipwayError {
  const message = `${JSON.stringify(file)} cannot be read (${messageOf(cause)}).`;
  return new SlipwayError('invalid-input', 'file-unreadable', message, { cause });
}

function changed(file: string): SlipwayError {
  const message = `${JSON.stringify(file)} changed while it was read. Run again when nothing writes to it.`;
  return new SlipwayError('conflict', 'file-changed', message);
}
