/** What lies in an image store: its unpacked images, and which blobs they are made of. */
import { readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Digest, isDigest } from '../base/digest.ts';
import { systemCode } from '../base/errors.ts';
import type { Image } from '../model/image.ts';
import { parseManifest, readDocument } from './formats/oci-documents.ts';
import { parseDescription } from './image-description.ts';
import { hexOf, namesIn, type StoreFiles } from './store-files.ts';

export interface StoredBlob {
  readonly digest: Digest;
  readonly sizeBytes: number;
  readonly ageMs: number;
}

export class StoreContents {
  readonly #files: StoreFiles;

  constructor(files: StoreFiles) {
    this.#files = files;
  }

  /** The images, by the digests of their manifests. */
  async digests(): Promise<Digest[]> {
    const names = await namesIn(join(this.#files.root, 'unpacked'));
    return names.map((hex) => `sha256:${hex}`).filter(isDigest);
  }

  /** The only image whose digest begins so; at least 12 digits. */
  async byDigits(reference: string): Promise<Digest | undefined> {
    const digits = reference.replace(/^sha256:/, '');
    if (!/^[0-9a-f]{12,64}$/.test(digits)) return undefined;
    const [only, ...others] = (await this.digests()).filter((digest) => hexOf(digest).startsWith(digits));
    return others.length === 0 ? only : undefined;
  }

  async read(
    digest: Digest,
    names: ReadonlyMap<Digest, readonly string[]> = new Map(),
  ): Promise<Image | undefined> {
    try {
      const json = await readFile(join(this.#files.unpacked(digest), 'image.json'), 'utf8');
      return { ...parseDescription(json), digest, names: names.get(digest) ?? [] };
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** Config and layers of an image. */
  async blobsOf(digest: Digest): Promise<Digest[]> {
    const manifest = parseManifest(await readDocument(this.#files.blob(digest)));
    return [manifest.config.digest, ...manifest.layers.map((layer) => layer.digest)];
  }

  /** Every blob of these images, their manifests too. */
  async blobsOfAll(digests: readonly Digest[]): Promise<Set<Digest>> {
    const lists = await Promise.all(digests.map((digest) => this.blobsOf(digest).catch(() => [])));
    return new Set([...digests, ...lists.flat()]);
  }

  /** The blobs that none of these images needs. */
  async strayBlobs(images: readonly Digest[]): Promise<StoredBlob[]> {
    const kept = await this.blobsOfAll(images);
    const stray: StoredBlob[] = [];
    for (const hex of await namesIn(this.#files.blobs)) {
      const digest = `sha256:${hex}`;
      if (!isDigest(digest) || kept.has(digest)) continue;
      const stats = await stat(this.#files.blob(digest)).catch(() => undefined);
      if (stats) stray.push({ digest, sizeBytes: stats.size, ageMs: Date.now() - stats.mtimeMs });
    }
    return stray;
  }

  async removeBlobs(blobs: readonly StoredBlob[]): Promise<void> {
    for (const { digest } of blobs) await rm(this.#files.blob(digest), { force: true });
  }
}
