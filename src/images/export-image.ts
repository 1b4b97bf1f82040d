/**
 * Writes an image of the store to a file or a directory, from which any store, Docker or podman reads it again:
 * the same manifest, config and layers, so that its digest stays the same. What is half-written is never seen
 * under its name.
 */
import { randomUUID } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { copyFile, mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { type Pack, pack } from 'tar-stream';
import { SlipwayError, systemCode } from '../base/errors.ts';
import type { Image } from '../model/image.ts';
import { layoutDocuments, readStoredManifest, type StoredManifest } from './formats/oci-layout.ts';
import type { ImageProgress, ImageStore } from './image-store.ts';
import { hexOf } from './store-files.ts';

/** `oci`: an OCI layout. `docker`: an archive for `docker load`, which is an OCI layout as well. */
export const exportFormats = ['oci', 'docker'] as const;
export type ExportFormat = (typeof exportFormats)[number];

export interface ExportOptions {
  /** A name or digest in the store. */
  readonly image: string;
  /** A new file ending in `.tar`, or a new or empty directory; with `docker` always a file. */
  readonly target: string;
  readonly format?: ExportFormat | undefined;
  readonly progress?: ImageProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** @throws SlipwayError `image-not-found`, `image-corrupted`, `export-exists`, `export-failed`, `export-cancelled` */
export async function exportImage(
  store: ImageStore,
  { image: reference, target, format = 'oci', progress, signal }: ExportOptions,
): Promise<Image> {
  const image = await store.resolve(reference);
  await assertFree(target);
  progress?.(`checking ${image.digest}`);
  await store.verify(image);
  const stored = await readStoredManifest((digest) => store.blob(digest), image);
  const fresh = `${target.replace(/\/+$/, '')}.${randomUUID().slice(0, 8)}.part`;
  progress?.(`writing ${target}`);
  try {
    const documents = documentsOf(image, stored, format);
    if (format === 'docker' || target.endsWith('.tar'))
      await writeTar(fresh, { store, stored, documents, signal });
    else await writeDirectory(fresh, { store, stored, documents, signal });
    await rename(fresh, target);
    return image;
  } catch (error) {
    await rm(fresh, { recursive: true, force: true });
    throw exportError(error, target, signal);
  }
}

/** A directory may be there if it is empty; `rename` replaces it then. */
async function assertFree(target: string): Promise<void> {
  const stats = await stat(target).catch(() => undefined);
  if (stats === undefined) return;
  if (stats.isDirectory() && (await readdir(target)).length === 0) return;
  throw new SlipwayError(
    'conflict',
    'export-exists',
    `${JSON.stringify(target)} exists already. Remove it, or name another place.`,
  );
}

interface Content {
  readonly store: ImageStore;
  readonly stored: StoredManifest;
  readonly documents: Readonly<Record<string, string>>;
  readonly signal: AbortSignal | undefined;
}

function documentsOf(image: Image, stored: StoredManifest, format: ExportFormat): Record<string, string> {
  const [first] = image.names;
  const name = first === undefined ? undefined : withTag(first);
  const annotations = name && { 'org.opencontainers.image.ref.name': name, 'io.containerd.image.name': name };
  const documents: Record<string, string> = {
    ...layoutDocuments(stored.descriptor, annotations || undefined),
  };
  if (format === 'docker') documents['manifest.json'] = dockerManifest(image, stored);
  return documents;
}

function dockerManifest(image: Image, { manifest }: StoredManifest): string {
  const at = ({ digest }: { digest: Image['digest'] }) => `blobs/sha256/${hexOf(digest)}`;
  const RepoTags = image.names.map(withTag);
  return JSON.stringify([{ Config: at(manifest.config), RepoTags, Layers: manifest.layers.map(at) }]);
}

function withTag(name: string): string {
  return /:[^/]+$/.test(name) ? name : `${name}:latest`;
}

async function writeDirectory(path: string, { store, stored, documents, signal }: Content): Promise<void> {
  const blobs = join(path, 'blobs', 'sha256');
  await mkdir(blobs, { recursive: true });
  for (const digest of stored.blobs) {
    signal?.throwIfAborted();
    await copyFile(store.blob(digest), join(blobs, hexOf(digest)));
  }
  for (const [name, text] of Object.entries(documents)) await writeFile(join(path, name), text);
}

async function writeTar(path: string, content: Content): Promise<void> {
  content.signal?.throwIfAborted();
  const archive = pack();
  // It fails with whoever reads it, and says so to them.
  archive.on('error', () => undefined);
  const written = pipeline(archive, createWriteStream(path, { flags: 'wx' }));
  const filled = fillTar(archive, content);
  filled.catch((error: Error) => archive.destroy(error));
  written.catch((error: Error) => archive.destroy(error));
  const [result] = await Promise.allSettled([filled, written]);
  if (result.status === 'rejected') throw result.reason;
  await written;
}

async function fillTar(archive: Pack, { store, stored, documents, signal }: Content): Promise<void> {
  const mtime = new Date(0);
  for (const [name, text] of Object.entries(documents)) await addEntry(archive, { name, mtime }, text);
  for (const digest of stored.blobs) {
    const { size } = await stat(store.blob(digest));
    const header = { name: `blobs/sha256/${hexOf(digest)}`, mtime, size };
    const source = createReadStream(store.blob(digest));
    await pipeline(source, archive.entry(header), signal ? { signal } : {});
  }
  archive.finalize();
}

/** Resolves when the entry is in the archive; rejects when nobody reads that any more. */
function addEntry(archive: Pack, header: { name: string; mtime: Date }, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    archive.entry(header, text, (error) => (error ? reject(error) : resolve()));
  });
}

function exportError(error: unknown, target: string, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted) {
    return new SlipwayError(
      'cancelled',
      'export-cancelled',
      'The export was cancelled; nothing of it was kept.',
    );
  }
  const code = systemCode(error);
  if (code === undefined || error instanceof SlipwayError) return error;
  return new SlipwayError(
    'unavailable',
    'export-failed',
    `The image cannot be written to ${JSON.stringify(target)} (${code}). Name another place, or make room.`,
    { cause: error },
  );
}
