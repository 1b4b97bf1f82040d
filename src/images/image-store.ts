/**
 * The local store of OCI images: imported once, unpacked once, addressed by digest, found by name. It knows
 * nothing of sandboxes (runtime/) and builds nothing (build/). Next: formats/ (what comes in), unpack/ (how
 * a tree is made of layers), store-files.ts (the directory on disk).
 *
 * Several processes may use one store at once. An image that a sandbox still runs must not be removed; the
 * caller knows which those are.
 */
import { execFile } from 'node:child_process';
import { mkdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Digest, isDigest } from '../base/digest.ts';
import { systemCode } from '../base/errors.ts';
import type { Image } from '../model/image.ts';
import { BlobStaging, corruptedBlob, digestOfFile } from './blob-staging.ts';
import type { ImageSource } from './formats/image-source.ts';
import { parseManifest, readDocument } from './formats/oci-documents.ts';
import { stageImage } from './formats/stage-image.ts';
import { parseDescription } from './image-description.ts';
import { ImageNames, imageNotFound, parseImageName } from './image-names.ts';
import { hexOf, namesIn, StoreFiles, syncDirectory, writeFileAtomically } from './store-files.ts';
import { unpackImage } from './unpack/unpack-image.ts';
import { defaultUnpackLimits, type UnpackLimits } from './unpack/unpack-limits.ts';

/** Told what an import is doing, one line of text at a time. */
export type ImageProgress = (line: string) => void;

export interface ImportOptions {
  readonly progress?: ImageProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ImageStore {
  /** Sorted by first name. */
  list(): Promise<readonly Image[]>;
  /**
   * @param reference a name (`python`, `python:3.11-slim`), a digest, or at least 12 digits of one
   * @throws SlipwayError `image-not-found`, which lists what is there
   */
  resolve(reference: string): Promise<Image>;
  /** Path of the unpacked tree on this machine: unshifted, shared by all sandboxes, never to be written. */
  rootfs(image: Image): Promise<string>;
  /** Idempotent; leaves nothing when the image is refused. The name moves to the image if it was taken. */
  import(source: ImageSource, name: string, options?: ImportOptions): Promise<Image>;
  /** Checks manifest, config and layers. @throws SlipwayError `image-corrupted`, which names the blob */
  verify(image: Image): Promise<void>;
  tag(name: string, digest: Digest): Promise<void>;
  /** Removes a name; without further names, or by digest, the image itself. */
  remove(reference: string): Promise<void>;
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
  readonly #limits: UnpackLimits;

  constructor(files: StoreFiles, limits: UnpackLimits) {
    this.#files = files;
    this.#names = new ImageNames(files);
    this.#limits = limits;
  }

  get root(): string {
    return this.#files.root;
  }

  blob(digest: Digest): string {
    return this.#files.blob(digest);
  }

  async list(): Promise<readonly Image[]> {
    const names = await this.#names.byDigest();
    const images = await Promise.all((await this.#digests()).map((digest) => this.#read(digest, names)));
    const key = (image: Image) => image.names[0] ?? `~${image.digest}`;
    return images.flatMap((image) => image ?? []).sort((a, b) => (key(a) < key(b) ? -1 : 1));
  }

  async resolve(reference: string): Promise<Image> {
    const digest = (await this.#names.lookup(reference)) ?? (await this.#byDigits(reference));
    const image = digest && (await this.#read(digest, await this.#names.byDigest()));
    if (image) return image;
    throw imageNotFound(reference, await this.list());
  }

  async rootfs(image: Image): Promise<string> {
    const path = join(this.#files.unpacked(image.digest), 'rootfs');
    try {
      await stat(path);
      return path;
    } catch (cause) {
      throw imageNotFound(image.digest, await this.list(), cause);
    }
  }

  async import(source: ImageSource, name: string, options: ImportOptions = {}): Promise<Image> {
    const parsed = parseImageName(name);
    await this.#files.prepare();
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
    if (await this.#read(digest, new Map())) return staging.publish(this.#files);
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
    // One call for the whole tree: without it a power cut after the rename could leave empty files in it.
    await promisify(execFile)('sync', ['-f', fresh]);
    await staging.publish(this.#files);
    await renameOnce(fresh, this.#files.unpacked(digest));
  }

  async verify(image: Image): Promise<void> {
    await this.#verifyBlob(image.digest);
    for (const digest of await this.#blobsOf(image.digest)) await this.#verifyBlob(digest);
  }

  async #verifyBlob(digest: Digest): Promise<void> {
    const found = await digestOfFile(this.#files.blob(digest)).catch((error: unknown) => {
      if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ELOOP') return 'missing' as const;
      throw error;
    });
    if (found !== digest) throw corruptedBlob(digest, found);
  }

  async tag(name: string, digest: Digest): Promise<void> {
    const image = await this.resolve(digest);
    await this.#names.set(parseImageName(name), image.digest);
  }

  async remove(reference: string): Promise<void> {
    const name = await this.#names.find(reference);
    const digest = (await this.#names.lookup(reference)) ?? (await this.#byDigits(reference));
    if (digest === undefined) throw imageNotFound(reference, await this.list());
    const names = (await this.#names.byDigest()).get(digest) ?? [];
    const gone = name === undefined ? names : [name];
    for (const one of gone) await this.#names.delete(one);
    if (gone.length < names.length) return;
    await this.#removeTree(digest);
    await this.#sweep();
  }

  async #removeTree(digest: Digest): Promise<void> {
    await using scratch = await this.#files.scratch();
    const blobs = await this.#blobsOf(digest).catch(() => []);
    await rename(this.#files.unpacked(digest), join(scratch.path, 'removed'));
    const kept = await this.#referencedBlobs();
    for (const blob of [digest, ...blobs]) {
      if (!kept.has(blob)) await rm(this.#files.blob(blob), { force: true });
    }
  }

  async #digests(): Promise<Digest[]> {
    const names = await namesIn(join(this.#files.root, 'unpacked'));
    return names.map((hex) => `sha256:${hex}`).filter(isDigest);
  }

  async #byDigits(reference: string): Promise<Digest | undefined> {
    const digits = reference.replace(/^sha256:/, '');
    if (!/^[0-9a-f]{12,64}$/.test(digits)) return undefined;
    const [only, ...others] = (await this.#digests()).filter((digest) => hexOf(digest).startsWith(digits));
    return others.length === 0 ? only : undefined;
  }

  async #read(digest: Digest, names: ReadonlyMap<Digest, readonly string[]>): Promise<Image | undefined> {
    try {
      const json = await readFile(join(this.#files.unpacked(digest), 'image.json'), 'utf8');
      return { ...parseDescription(json), digest, names: names.get(digest) ?? [] };
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** Config and layers of an image. */
  async #blobsOf(digest: Digest): Promise<Digest[]> {
    const manifest = parseManifest(await readDocument(this.#files.blob(digest)));
    return [manifest.config.digest, ...manifest.layers.map((layer) => layer.digest)];
  }

  async #referencedBlobs(): Promise<Set<Digest>> {
    const digests = await this.#digests();
    const lists = await Promise.all(digests.map((digest) => this.#blobsOf(digest).catch(() => [])));
    return new Set([...digests, ...lists.flat()]);
  }

  /** Removes what killed imports left: scratch directories, and blobs that no image needs. */
  async #sweep(): Promise<void> {
    await this.#files.sweepScratch();
    const kept = await this.#referencedBlobs();
    for (const hex of await namesIn(this.#files.blobs)) {
      const digest = `sha256:${hex}`;
      if (isDigest(digest) && kept.has(digest)) continue;
      const path = join(this.#files.blobs, hex);
      const stats = await stat(path).catch(() => undefined);
      if (stats && Date.now() - stats.mtimeMs > blobGraceMs) await rm(path, { force: true });
    }
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
