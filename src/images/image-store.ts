/**
 * The local store of OCI images: imported once, unpacked once, addressed by digest, found by name. It knows
 * nothing of sandboxes (runtime/) and builds nothing (build/). Next: formats/ (what comes in), unpack/ (how
 * a tree is made of layers), registry/ (pull and push), store-files.ts (the directory on disk).
 *
 * Several processes may use one store at once: imports share its lock, what removes has it alone. An image that
 * a sandbox still has mounted is not removed; which images waiting runs need, the caller knows.
 */
import { execFile } from 'node:child_process';
import { mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Digest } from '../base/digest.ts';
import { isSlipwayError, messageOf, systemCode } from '../base/errors.ts';
import type { Image } from '../model/image.ts';
import { BlobStaging, corruptedBlob, digestOfFile } from './blob-staging.ts';
import { CheckedTrees } from './checked-trees.ts';
import { collectGarbage, type Garbage, type GarbageOptions, removeTree } from './collect-garbage.ts';
import type { ImageSource } from './formats/image-source.ts';
import { stageImage } from './formats/stage-image.ts';
import { ImageNames, imageNotFound, parseImageName } from './image-names.ts';
import { lockFile } from './lock-file.ts';
import { StoreContents } from './store-contents.ts';
import { StoreFiles, syncDirectory, writeFileAtomically } from './store-files.ts';
import type { Thoroughness } from './tree-list.ts';
import { unpackImage } from './unpack/unpack-image.ts';
import { defaultUnpackLimits, type UnpackLimits } from './unpack/unpack-limits.ts';

/** Told what an import is doing, one line of text at a time. */
export type ImageProgress = (line: string) => void;

export interface ImportOptions {
  readonly progress?: ImageProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ImageStore {
  /** Sorted by first name; an image whose description is damaged is left out (`damages` names it). */
  list(): Promise<readonly Image[]>;
  /**
   * @param reference a name (`python`, `python:3.11-slim`), a digest, or at least 12 digits of one
   * @throws SlipwayError `image-not-found`, which lists what is there
   */
  resolve(reference: string): Promise<Image>;
  /**
   * Path of the unpacked tree on this machine: unshifted, shared by all sandboxes, never to be written. When it is
   * first asked for, sizes and times of all files are compared with those of the import.
   *
   * @throws SlipwayError `image-corrupted`, `image-not-found`
   */
  rootfs(image: Image): Promise<string>;
  /**
   * Idempotent; leaves nothing when the image is refused. The name moves to the image if it was taken; an image
   * that is there and damaged is replaced.
   */
  import(source: ImageSource, name: string, options?: ImportOptions): Promise<Image>;
  /**
   * Reads everything: manifest, config, layers, and every file of the tree; `quick` looks at the tree only, and at
   * sizes and times.
   *
   * @throws SlipwayError `image-corrupted`, which names the blob or the file
   */
  verify(image: Image, thoroughness?: Thoroughness): Promise<void>;
  /** A quick look at every image, those too that `list` cannot read. @returns what is wrong, in words */
  damages(): Promise<readonly string[]>;
  tag(name: string, digest: Digest): Promise<void>;
  /**
   * Removes a name; without further names, or by digest, the image itself.
   *
   * @returns whether the image is gone: without names it stays as long as it is mounted, or in `keep`
   */
  remove(reference: string, options?: Omit<GarbageOptions, 'dryRun'>): Promise<boolean>;
  /** Removes images without a name and blobs without an image, but nothing that is in use. */
  collectGarbage(options?: GarbageOptions): Promise<Garbage>;
  /** A directory on the store's own file system that disappears with `await using`, or with this process. */
  workspace(): Promise<AsyncDisposable & { readonly path: string }>;
  /** Path of a blob on this machine, for those who hand the image on (build/). */
  blob(digest: Digest): string;
  readonly root: string;
}

export interface ImageStoreOptions {
  /** Directory of the store, `/var/lib/slipway/images`; made with mode 0700. */
  readonly root: string;
  readonly limits?: UnpackLimits;
}

export function createImageStore({ root, limits = defaultUnpackLimits }: ImageStoreOptions): ImageStore {
  return new LocalImageStore(new StoreFiles(root), limits);
}

/** Unreferenced blobs younger than this may belong to an import that is about to finish. */
const blobGraceMs = 10 * 60_000;

class LocalImageStore implements ImageStore {
  readonly #files: StoreFiles;
  readonly #names: ImageNames;
  readonly #contents: StoreContents;
  readonly #trees: CheckedTrees;
  readonly #limits: UnpackLimits;

  constructor(files: StoreFiles, limits: UnpackLimits) {
    this.#files = files;
    this.#names = new ImageNames(files);
    this.#contents = new StoreContents(files);
    this.#trees = new CheckedTrees(files);
    this.#limits = limits;
  }

  get root(): string {
    return this.#files.root;
  }

  blob(digest: Digest): string {
    return this.#files.blob(digest);
  }

  async workspace(): Promise<AsyncDisposable & { readonly path: string }> {
    await this.#files.prepare();
    await this.#files.sweepScratch();
    return this.#files.scratch();
  }

  async list(): Promise<readonly Image[]> {
    const names = await this.#names.byDigest();
    const digests = await this.#contents.digests();
    const images = await Promise.all(digests.map((digest) => this.#readable(digest, names)));
    const key = (image: Image) => image.names[0] ?? `~${image.digest}`;
    return images.flatMap((image) => image ?? []).sort((a, b) => (key(a) < key(b) ? -1 : 1));
  }

  async #readable(digest: Digest, names: Map<Digest, string[]>): Promise<Image | undefined> {
    try {
      return await this.#contents.read(digest, names);
    } catch (error) {
      if (isSlipwayError(error, 'image-corrupted')) return undefined;
      throw error;
    }
  }

  async damages(): Promise<readonly string[]> {
    const names = await this.#names.byDigest();
    const look = async (digest: Digest) => {
      try {
        if (await this.#contents.read(digest)) await this.#trees.verify(digest, 'quick');
        return [];
      } catch (error) {
        return [`The image ${names.get(digest)?.join(', ') ?? digest} is damaged: ${messageOf(error)}`];
      }
    };
    return (await Promise.all((await this.#contents.digests()).map(look))).flat();
  }

  async resolve(reference: string): Promise<Image> {
    const digest = await this.#find(reference);
    const image = digest && (await this.#contents.read(digest, await this.#names.byDigest()));
    if (image) return image;
    throw imageNotFound(reference, await this.list());
  }

  async rootfs(image: Image): Promise<string> {
    if (!(await this.#contents.read(image.digest))) throw imageNotFound(image.digest, await this.list());
    return await this.#trees.pathOf(image.digest);
  }

  async import(source: ImageSource, name: string, options: ImportOptions = {}): Promise<Image> {
    const parsed = parseImageName(name);
    await using _lock = await this.#lock('shared', options);
    await this.#sweep();
    await using scratch = await this.#files.scratch();
    const staging = await BlobStaging.create(scratch.path);
    options.progress?.(`reading ${source.path}`);
    const place = { staging, scratch: scratch.path, limits: this.#limits, signal: options.signal };
    const digest = await stageImage(source, place);
    await this.#unpack(digest, { scratch: scratch.path, staging, options });
    await this.#names.set(parsed, digest);
    return await this.resolve(parsed);
  }

  async #unpack(
    digest: Digest,
    { scratch, staging, options }: { scratch: string; staging: BlobStaging; options: ImportOptions },
  ): Promise<void> {
    const known = await this.#stateOf(digest);
    if (known === 'whole') return staging.publish(this.#files);
    const fresh = join(scratch, 'unpacked');
    await mkdir(fresh, { mode: 0o700 });
    const description = await unpackImage({
      digest,
      blob: (blob) => staging.pathOf(blob),
      rootfs: join(fresh, 'rootfs'),
      limits: this.#limits,
      progress: options.progress ?? (() => undefined),
      signal: options.signal,
    });
    await writeFileAtomically(join(fresh, 'image.json'), JSON.stringify(description, null, 2));
    await this.#trees.list(fresh);
    // One call for the whole tree: without it a power cut after the rename could leave empty files in it.
    await promisify(execFile)('sync', ['-f', fresh]);
    await staging.publish(this.#files);
    if (known === 'damaged') await rename(this.#files.unpacked(digest), join(scratch, 'damaged'));
    await renameOnce(fresh, this.#files.unpacked(digest));
  }

  async #stateOf(digest: Digest): Promise<'absent' | 'whole' | 'damaged'> {
    try {
      if (!(await this.#contents.read(digest))) return 'absent';
      await this.#trees.verify(digest, 'quick');
      return 'whole';
    } catch (error) {
      if (isSlipwayError(error, 'image-corrupted')) return 'damaged';
      throw error;
    }
  }

  async verify({ digest }: Image, thoroughness: Thoroughness = 'full'): Promise<void> {
    if (thoroughness === 'full') {
      await this.#verifyBlob(digest);
      for (const blob of await this.#contents.blobsOf(digest)) await this.#verifyBlob(blob);
    }
    await this.#trees.verify(digest, thoroughness);
  }

  async #verifyBlob(digest: Digest): Promise<void> {
    const found = await digestOfFile(this.#files.blob(digest)).catch((error: unknown) => {
      if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ELOOP') return 'missing' as const;
      throw error;
    });
    if (found !== digest) throw corruptedBlob(digest, found);
  }

  async tag(name: string, digest: Digest): Promise<void> {
    const parsed = parseImageName(name);
    await using _lock = await this.#lock('shared');
    const image = await this.resolve(digest);
    await this.#names.set(parsed, image.digest);
  }

  async remove(reference: string, options: Omit<GarbageOptions, 'dryRun'> = {}): Promise<boolean> {
    await using _lock = await this.#lock('exclusive', options);
    const name = await this.#names.find(reference);
    const digest = await this.#find(reference);
    if (digest === undefined) throw imageNotFound(reference, await this.list());
    const names = (await this.#names.byDigest()).get(digest) ?? [];
    const gone = name === undefined ? names : [name];
    for (const one of gone) await this.#names.delete(one);
    if (gone.length < names.length || options.keep?.has(digest)) return false;
    if (!(await removeTree(this.#files, digest))) return false;
    await this.#contents.removeBlobs(await this.#contents.strayBlobs(await this.#contents.digests()));
    return true;
  }

  async collectGarbage(options: GarbageOptions = {}): Promise<Garbage> {
    await using _lock = await this.#lock('exclusive', options);
    await this.#files.sweepScratch();
    const named = new Set((await this.#names.byDigest()).keys());
    return await collectGarbage({ files: this.#files, contents: this.#contents, named }, options);
  }

  async #find(reference: string): Promise<Digest | undefined> {
    return (await this.#names.lookup(reference)) ?? (await this.#contents.byDigits(reference));
  }

  async #lock(mode: 'shared' | 'exclusive', options: ImportOptions = {}): Promise<AsyncDisposable> {
    await this.#files.prepare();
    const onWait = () => options.progress?.('waiting for another command that works on the images');
    return await lockFile(this.#files.lock, { mode, onWait, signal: options.signal });
  }

  /** Removes what killed imports left: scratch directories, and blobs that no image needs. */
  async #sweep(): Promise<void> {
    await this.#files.sweepScratch();
    const stray = await this.#contents.strayBlobs(await this.#contents.digests());
    await this.#contents.removeBlobs(stray.filter(({ ageMs }) => ageMs > blobGraceMs));
  }
}

/** A rename that accepts to have come second: the other import's tree is the same. */
async function renameOnce(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
    await syncDirectory(join(to, '..'));
  } catch (error) {
    const code = systemCode(error);
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
  }
}
