/**
 * Blobs in a folder: `sha256/ab/cdef…`, one file for each content. A file is written under `incoming/`, flushed,
 * renamed to its digest, and the rename is flushed, so that what is found under a digest is whole and survives.
 * Several processes may share the folder. Not here: which blobs are still needed (Store.isBlobReferenced).
 */
import { createHash } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Digest, parseDigest } from '../base/digest.ts';
import { messageOf, SlipwayError, systemCode } from '../base/errors.ts';
import { randomText } from '../base/ids.ts';
import type { Blobs, PutLimits, StoredBlob } from './blobs.ts';

/** Files that this process is writing now; the sweep leaves them. */
const writing = new Set<string>();

/**
 * Opens the folder, makes it if need be, and removes what dead processes left half-written.
 *
 * @throws SlipwayError `blobs-full`, `blobs-failed`
 */
export async function createLocalBlobs({ root }: { readonly root: string }): Promise<Blobs> {
  try {
    await mkdir(join(root, 'incoming'), { recursive: true, mode: 0o700 });
    await mkdir(join(root, 'sha256'), { recursive: true, mode: 0o700 });
    await sweep(join(root, 'incoming'));
  } catch (error) {
    throw toBlobError(error, `The folder ${root} cannot be used`);
  }
  return new LocalBlobs(root);
}

class LocalBlobs implements Blobs {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  async put(content: AsyncIterable<Uint8Array>, limits: PutLimits): Promise<StoredBlob> {
    const path = join(this.#root, 'incoming', `${process.pid}-${randomText(12)}`);
    writing.add(path);
    try {
      const blob = await writeFlushed(path, content, limits);
      await moveFlushed(path, this.#pathOf(blob.digest));
      return blob;
    } catch (error) {
      await rm(path, { force: true });
      throw toBlobError(error, 'The content cannot be stored');
    } finally {
      writing.delete(path);
    }
  }

  async size(digest: Digest): Promise<number | undefined> {
    try {
      return (await stat(this.#pathOf(digest))).size;
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return undefined;
      throw toBlobError(error, `The blob ${digest} cannot be read`);
    }
  }

  async *get(digest: Digest, range?: { readonly start: number; readonly end: number }) {
    if (range && range.end <= range.start) {
      if ((await this.size(digest)) === undefined) throw notFound(digest);
      return;
    }
    try {
      await using file = await open(this.#pathOf(digest), 'r');
      yield* readRange(file, range);
    } catch (error) {
      if (systemCode(error) === 'ENOENT') throw notFound(digest);
      throw toBlobError(error, `The blob ${digest} cannot be read`);
    }
  }

  async delete(digest: Digest): Promise<void> {
    try {
      await rm(this.#pathOf(digest), { force: true });
    } catch (error) {
      throw toBlobError(error, `The blob ${digest} cannot be deleted`);
    }
  }

  #pathOf(digest: Digest): string {
    const hex = parseDigest(digest).slice('sha256:'.length);
    return join(this.#root, 'sha256', hex.slice(0, 2), hex.slice(2));
  }
}

async function writeFlushed(
  path: string,
  content: AsyncIterable<Uint8Array>,
  limits: PutLimits,
): Promise<StoredBlob> {
  await using file = await open(path, 'wx', 0o600);
  const hash = createHash('sha256');
  let sizeBytes = 0;
  for await (const piece of content) {
    sizeBytes += piece.length;
    if (sizeBytes > limits.maxBytes) throw tooLarge(limits.maxBytes);
    hash.update(piece);
    await writeAll(file, piece);
  }
  const digest: Digest = `sha256:${hash.digest('hex')}`;
  if (limits.expected !== undefined && digest !== limits.expected) throw mismatch(limits.expected, digest);
  await file.sync();
  return { digest, sizeBytes };
}

/** `write` may write less than it was given, for example just before the disk is full. */
async function writeAll(file: FileHandle, piece: Uint8Array): Promise<void> {
  for (let at = 0; at < piece.length; ) at += (await file.write(piece, at)).bytesWritten;
}

/** Replaces what is there: it is the same content, and whole for certain afterwards. */
async function moveFlushed(from: string, to: string): Promise<void> {
  const folder = dirname(to);
  const made = await mkdir(folder, { recursive: true, mode: 0o700 });
  if (made !== undefined) await flushFolder(dirname(folder));
  await rename(from, to);
  await flushFolder(folder);
}

async function flushFolder(path: string): Promise<void> {
  await using folder = await open(path, 'r');
  await folder.sync();
}

async function* readRange(file: FileHandle, range?: { readonly start: number; readonly end: number }) {
  const options = range && { start: range.start, end: range.end - 1 };
  yield* file.createReadStream({ autoClose: false, ...options });
}

async function sweep(incoming: string): Promise<void> {
  for (const name of await readdir(incoming)) {
    const path = join(incoming, name);
    if (!isBeingWritten(path, Number.parseInt(name, 10))) await rm(path, { force: true });
  }
}

/** A process of the same number as a dead one keeps a leftover until the next start; that is harmless. */
function isBeingWritten(path: string, pid: number): boolean {
  if (pid === process.pid) return writing.has(path);
  try {
    return pid > 0 && process.kill(pid, 0);
  } catch (error) {
    return systemCode(error) === 'EPERM';
  }
}

/** What a disk can do to us; other system errors are those of the stream that is stored. */
const diskErrors = new Set([
  'ENOSPC',
  'EDQUOT',
  'EIO',
  'EROFS',
  'EACCES',
  'EPERM',
  'ENOENT',
  'ENOTDIR',
  'EMFILE',
]);

function toBlobError(error: unknown, what: string): unknown {
  const code = systemCode(error);
  if (code === undefined || !diskErrors.has(code)) return error;
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    const message = `${what}: the disk is full. Free some space and try again.`;
    return new SlipwayError('unavailable', 'blobs-full', message, { cause: error });
  }
  const message = `${what}: ${messageOf(error)}. Check the disk and the permissions of the folder.`;
  return new SlipwayError('unavailable', 'blobs-failed', message, { cause: error });
}

function notFound(digest: Digest): SlipwayError {
  return new SlipwayError('not-found', 'blob-not-found', `There is no blob ${digest}.`, {
    details: { digest },
  });
}

function tooLarge(maxBytes: number): SlipwayError {
  const message = `The content has more than the ${maxBytes} bytes that are allowed here.`;
  return new SlipwayError('too-large', 'blob-too-large', message, { details: { maxBytes } });
}

function mismatch(expected: Digest, found: Digest): SlipwayError {
  const message = `The content has the digest ${found}, but ${expected} was expected. Send it again.`;
  return new SlipwayError('invalid-input', 'digest-mismatch', message, { details: { expected, found } });
}
