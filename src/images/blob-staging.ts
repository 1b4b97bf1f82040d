/**
 * The blobs of one import: copied into the import's scratch directory and checked there, published into
 * the store only when the whole image turned out to be good.
 */
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { type Digest, digestOf, parseDigest } from '../base/digest.ts';
import { SlipwayError } from '../base/errors.ts';
import { hexOf, type StoreFiles, syncDirectory } from './store-files.ts';

const chunkBytes = 1024 * 1024;

export class BlobStaging {
  readonly #directory: string;
  readonly #staged = new Set<Digest>();

  private constructor(directory: string) {
    this.#directory = directory;
  }

  static async create(scratch: string): Promise<BlobStaging> {
    const directory = join(scratch, 'blobs');
    await mkdir(directory, { mode: 0o700 });
    return new BlobStaging(directory);
  }

  pathOf(digest: Digest): string {
    return join(this.#directory, hexOf(digest));
  }

  get digests(): readonly Digest[] {
    return [...this.#staged];
  }

  /** Stages bytes of ours. */
  async addBytes(content: string | Uint8Array): Promise<Digest> {
    const digest = digestOf(content);
    await using file = await open(this.pathOf(digest), 'w', 0o600);
    await file.writeFile(content);
    await file.sync();
    this.#staged.add(digest);
    return digest;
  }

  /**
   * Stages a copy of a file.
   *
   * @param expected what its digest must be, when something announced it.
   * @throws SlipwayError `image-corrupted` when it is another.
   */
  async addFile(path: string, expected?: Digest): Promise<Digest> {
    if (expected !== undefined && this.#staged.has(expected)) return expected;
    const copy = join(this.#directory, 'incoming');
    const digest = await copyHashed(path, copy);
    if (expected !== undefined && digest !== expected) throw corruptedBlob(expected, digest);
    await rename(copy, this.pathOf(digest));
    this.#staged.add(digest);
    return digest;
  }

  /** Moves everything into the store. Blobs that are there already are renewed: see `sweepBlobs`. */
  async publish(files: StoreFiles): Promise<void> {
    for (const digest of this.#staged) await rename(this.pathOf(digest), files.blob(digest));
    await syncDirectory(files.blobs);
  }
}

/** The digest of a regular file's content; a link in its last part is not followed. */
export async function digestOfFile(path: string | Buffer): Promise<Digest> {
  await using file = await openRegular(path);
  const hash = createHash('sha256');
  for await (const chunk of chunksOf(file)) hash.update(chunk);
  return parseDigest(`sha256:${hash.digest('hex')}`);
}

export function corruptedBlob(expected: Digest, found: Digest | 'missing'): SlipwayError {
  const what = found === 'missing' ? 'is missing' : `has the digest ${found} instead`;
  return new SlipwayError(
    'corrupted',
    'image-corrupted',
    `The image is corrupted: its blob ${expected} ${what}. Build or import it again.`,
    { details: { blob: expected, found } },
  );
}

/** @param damage as the end of a sentence */
export function corruptedTree(digest: Digest, damage: string): SlipwayError {
  return new SlipwayError(
    'corrupted',
    'image-corrupted',
    `The image ${digest} is corrupted: ${damage}. Build or import it again.`,
    { details: { image: digest, damage } },
  );
}

async function copyHashed(from: string, to: string): Promise<Digest> {
  await using source = await openRegular(from);
  await using target = await open(to, 'w', 0o600);
  const hash = createHash('sha256');
  for await (const chunk of chunksOf(source)) {
    hash.update(chunk);
    await target.writeFile(chunk);
  }
  await target.sync();
  return parseDigest(`sha256:${hash.digest('hex')}`);
}

async function openRegular(path: string | Buffer): Promise<FileHandle> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  const stats = await file.stat();
  if (stats.isFile()) return file;
  await file.close();
  throw new SlipwayError(
    'invalid-input',
    'image-unreadable',
    `${JSON.stringify(String(path))} is not a regular file.`,
  );
}

async function* chunksOf(file: FileHandle): AsyncGenerator<Uint8Array, void, undefined> {
  const buffer = Buffer.allocUnsafe(chunkBytes);
  for (;;) {
    const { bytesRead } = await file.read(buffer, 0, chunkBytes, null);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
  }
}
