/**
 * Removes what nobody can ask for any more: images without a name, and blobs that no image needs. Kept are those
 * that a mount of this host shows (mounted-images.ts) and those that the caller knows to be needed, by runs that
 * wait. The caller holds the store's lock alone, so no import is under way.
 */
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../base/digest.ts';
import { mountedImages, removedName } from './mounted-images.ts';
import type { StoreContents } from './store-contents.ts';
import { hexOf, type StoreFiles, syncDirectory } from './store-files.ts';

export interface GarbageOptions {
  /** Say what would go, and keep it. */
  readonly dryRun?: boolean;
  /** Images that runs need, mounted or not. */
  readonly keep?: ReadonlySet<Digest>;
  readonly signal?: AbortSignal | undefined;
  readonly progress?: ((line: string) => void) | undefined;
}

export interface Garbage {
  /** Without a name and gone. */
  readonly images: readonly { readonly digest: Digest; readonly sizeBytes: number }[];
  /** Without a name and kept, because something uses them. */
  readonly inUse: readonly Digest[];
  readonly blobs: { readonly count: number; readonly sizeBytes: number };
  /** What the trees and blobs that are gone took. */
  readonly freedBytes: number;
}

interface Place {
  readonly files: StoreFiles;
  readonly contents: StoreContents;
  /** Digests of the images that have a name. */
  readonly named: ReadonlySet<Digest>;
}

export async function collectGarbage(place: Place, options: GarbageOptions = {}): Promise<Garbage> {
  const { files, contents, named } = place;
  const all = await contents.digests();
  const images: { digest: Digest; sizeBytes: number }[] = [];
  const inUse: Digest[] = [];
  for (const digest of all.filter((candidate) => !named.has(candidate))) {
    options.signal?.throwIfAborted();
    const sizeBytes = (await contents.read(digest).catch(() => undefined))?.sizeBytes ?? 0;
    const isGone = !options.keep?.has(digest) && (await release(files, digest, options.dryRun ?? false));
    if (isGone) images.push({ digest, sizeBytes });
    else inUse.push(digest);
  }
  const gone = new Set(images.map(({ digest }) => digest));
  const stray = await contents.strayBlobs(all.filter((digest) => !gone.has(digest)));
  if (!options.dryRun) await contents.removeBlobs(stray);
  const blobs = { count: stray.length, sizeBytes: sum(stray) };
  return { images, inUse, blobs, freedBytes: sum(images) + blobs.sizeBytes };
}

/** @returns whether the image is gone, or would be */
async function release(files: StoreFiles, digest: Digest, dryRun: boolean): Promise<boolean> {
  if (dryRun) return !(await mountedImages()).has(digest);
  return await removeTree(files, digest);
}

/**
 * Removes an unpacked tree unless something mounts it. The tree is moved aside first and looked for then: a
 * sandbox that began in between has it mounted under its new path and gets it back.
 *
 * @returns whether it is gone
 */
export async function removeTree(files: StoreFiles, digest: Digest): Promise<boolean> {
  if ((await mountedImages()).has(digest)) return false; // not even for a moment
  await using scratch = await files.scratch();
  const tree = files.unpacked(digest);
  const aside = join(scratch.path, removedName(hexOf(digest)));
  await rename(tree, aside);
  if ((await mountedImages()).has(digest)) {
    await rename(aside, tree);
    return false;
  }
  await syncDirectory(join(tree, '..'));
  return true;
}

function sum(items: readonly { readonly sizeBytes: number }[]): number {
  return items.reduce((total, { sizeBytes }) => total + sizeBytes, 0);
}
