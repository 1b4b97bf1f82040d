/**
 * The files that a program left in /work, read from the host after everything inside is dead. The tree is
 * hostile: links are never followed, whatever is no plain file is left out with a note, and names, depth,
 * numbers and sizes are bounded.
 */
import { constants, type Dirent } from 'node:fs';
import { type FileHandle, open, opendir } from 'node:fs/promises';
import { systemCode } from '../../../base/errors.ts';
import { parseRelativePath } from '../../../model/paths.ts';
import type { CollectedEntry, CollectRules } from '../../driver.ts';
import { type Glob, toGlob } from './glob.ts';

/** Notes about single files; beyond that only their number is told. */
const maxNotes = 1000;
/** Directories deeper than a result's path may be long are not entered. */
const maxPathBytes = 1024;
const readBytes = 64 * 1024;
/** Without O_NONBLOCK, opening a FIFO would wait for a writer for ever. */
const readOnly = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** @throws SlipwayError `bad-pattern`; the signal's reason when it aborts */
export function collectFiles(
  root: string,
  rules: CollectRules,
  signal: AbortSignal,
): AsyncIterable<CollectedEntry> {
  return new Collection(root, rules, signal).entries();
}

class Collection {
  readonly #root: string;
  readonly #rules: CollectRules;
  readonly #signal: AbortSignal;
  readonly #glob: Glob;
  #files = 0;
  #bytes = 0;
  #notes = 0;
  #untold = 0;
  #beyondCount = 0;

  constructor(root: string, rules: CollectRules, signal: AbortSignal) {
    this.#root = root;
    this.#rules = rules;
    this.#signal = signal;
    this.#glob = toGlob(rules.patterns);
  }

  async *entries(): AsyncGenerator<CollectedEntry, void, undefined> {
    const pending: Buffer[] = [Buffer.alloc(0)];
    for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
      yield* this.#directory(directory, pending);
    }
    yield* this.#summary();
  }

  /** The entries of one directory; its subdirectories are added to `pending`. */
  async *#directory(directory: Buffer, pending: Buffer[]): AsyncGenerator<CollectedEntry, void, undefined> {
    // Names as Latin-1: one character per byte, so that names that are not UTF-8 survive.
    for await (const entry of await opendir(this.#absolute(directory), {
      encoding: 'latin1',
      bufferSize: 256,
    })) {
      this.#signal.throwIfAborted();
      const bytes = joinBytes(directory, Buffer.from(entry.name, 'latin1'));
      if (entry.isDirectory()) yield* this.#subdirectory(bytes, pending);
      else if (this.#glob.matches(toParts(bytes))) yield* this.#entry(bytes, entry);
    }
  }

  *#subdirectory(bytes: Buffer, pending: Buffer[]): Generator<CollectedEntry, void, undefined> {
    if (!this.#glob.reaches(toParts(bytes))) return;
    if (bytes.length < maxPathBytes) pending.push(bytes);
    else yield* this.#skip(bytes, `its path is longer than ${maxPathBytes} bytes`);
  }

  async *#entry(bytes: Buffer, entry: Dirent): AsyncGenerator<CollectedEntry, void, undefined> {
    const path = toResultPath(bytes);
    if (!entry.isFile()) return yield* this.#skip(bytes, `it is ${kindOf(entry)}, not a plain file`);
    if (path === undefined) return yield* this.#skip(bytes, 'its path is not valid UTF-8 or too long');
    if (this.#files >= this.#rules.maxFiles) {
      this.#beyondCount += 1;
      return;
    }
    yield* this.#file(path, bytes);
  }

  async *#file(path: string, bytes: Buffer): AsyncGenerator<CollectedEntry, void, undefined> {
    const handle = await open(this.#absolute(bytes), readOnly).catch(
      (error) => systemCode(error) ?? 'an error',
    );
    if (typeof handle === 'string') return yield* this.#skip(bytes, `it cannot be opened (${handle})`);
    try {
      const stats = await handle.stat();
      if (!stats.isFile()) return yield* this.#skip(bytes, 'it is not a plain file');
      if (this.#bytes + stats.size > this.#rules.maxBytes)
        return yield* this.#skip(bytes, this.#tooLarge(stats.size));
      this.#files += 1;
      this.#bytes += stats.size;
      yield {
        kind: 'file',
        path,
        sizeBytes: stats.size,
        content: readContent(handle, stats.size, this.#signal),
      };
    } finally {
      await handle.close();
    }
  }

  #tooLarge(size: number): string {
    const left = this.#rules.maxBytes - this.#bytes;
    return `it has ${size} bytes, but only ${left} of ${this.#rules.maxBytes} are left for files`;
  }

  *#skip(bytes: Buffer, reason: string): Generator<CollectedEntry, void, undefined> {
    if (this.#notes >= maxNotes) {
      this.#untold += 1;
      return;
    }
    this.#notes += 1;
    yield { kind: 'skipped', path: toResultPath(bytes) ?? toShownPath(bytes), reason };
  }

  *#summary(): Generator<CollectedEntry, void, undefined> {
    if (this.#beyondCount > 0) {
      const reason = `${this.#beyondCount} more files matched, but at most ${this.#rules.maxFiles} are kept`;
      yield { kind: 'skipped', path: '.', reason };
    }
    if (this.#untold > 0) yield { kind: 'skipped', path: '.', reason: `${this.#untold} more were left out` };
  }

  #absolute(bytes: Buffer): Buffer {
    return joinBytes(Buffer.from(this.#root), bytes);
  }
}

async function* readContent(
  handle: FileHandle,
  sizeBytes: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  for (let position = 0; position < sizeBytes; ) {
    signal.throwIfAborted();
    const length = Math.min(readBytes, sizeBytes - position);
    const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(length), 0, length, position);
    if (bytesRead === 0) return;
    position += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

function joinBytes(directory: Buffer, name: Buffer): Buffer {
  if (directory.length === 0) return name;
  return name.length === 0 ? directory : Buffer.concat([directory, Buffer.from('/'), name]);
}

/** Parts for matching; bytes that are no UTF-8 become replacement characters, which only stars match. */
function toParts(bytes: Buffer): string[] {
  return bytes.toString().split('/');
}

function toResultPath(bytes: Buffer): string | undefined {
  try {
    return parseRelativePath(
      new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes),
      'result',
    );
  } catch {
    return undefined;
  }
}

/** A path that is no text, with everything but ASCII escaped: for people, never to be opened. */
function toShownPath(bytes: Buffer): string {
  const text = bytes.subarray(0, maxPathBytes).toString('latin1');
  return text.replace(
    /[^ -[\]-~]/g,
    (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}

function kindOf(entry: Dirent): string {
  if (entry.isSymbolicLink()) return 'a symbolic link';
  if (entry.isFIFO()) return 'a FIFO';
  if (entry.isSocket()) return 'a socket';
  if (entry.isBlockDevice() || entry.isCharacterDevice()) return 'a device';
  return 'of an unknown kind';
}
