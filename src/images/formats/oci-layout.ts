/** Writes OCI layouts: the index, and an image of the store as a layout of links, for tools that read those. */
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../../base/digest.ts';
import type { Image } from '../../model/image.ts';
import { hexOf } from '../store-files.ts';
import { type OciManifest, ociManifestType, parseManifest, readDocument } from './oci-documents.ts';

export interface ManifestDescriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
}

export interface StoredManifest {
  readonly manifest: OciManifest;
  readonly descriptor: ManifestDescriptor;
  /** Every blob of the image once, the manifest first. */
  readonly blobs: readonly Digest[];
}

/** Where a blob lies. */
export type BlobPath = (digest: Digest) => string;

export async function readStoredManifest(
  blob: BlobPath,
  { digest }: Pick<Image, 'digest'>,
): Promise<StoredManifest> {
  const json = await readDocument(blob(digest));
  const manifest = parseManifest(json);
  const parts = [manifest.config.digest, ...manifest.layers.map((layer) => layer.digest)];
  const descriptor = {
    mediaType: manifest.mediaType ?? ociManifestType,
    digest,
    size: Buffer.byteLength(json),
  };
  return { manifest, descriptor, blobs: [...new Set([digest, ...parts])] };
}

/** The two documents of a layout beside its blobs. */
export function layoutDocuments(
  descriptor: ManifestDescriptor,
  annotations?: Readonly<Record<string, string>>,
): {
  readonly 'oci-layout': string;
  readonly 'index.json': string;
} {
  const entry = { ...descriptor, ...(annotations === undefined ? {} : { annotations }) };
  return {
    'oci-layout': '{"imageLayoutVersion":"1.0.0"}',
    'index.json': JSON.stringify({ schemaVersion: 2, manifests: [entry] }),
  };
}

export async function writeLayoutIndex(directory: string, descriptor: ManifestDescriptor): Promise<void> {
  for (const [name, text] of Object.entries(layoutDocuments(descriptor))) {
    await writeFile(join(directory, name), text);
  }
}

/** An image as an OCI layout of links to the store's blobs. */
export async function writeLayoutOfLinks(
  blob: BlobPath,
  image: Pick<Image, 'digest'>,
  directory: string,
): Promise<void> {
  const target = join(directory, 'blobs', 'sha256');
  await mkdir(target, { recursive: true });
  const { blobs, descriptor } = await readStoredManifest(blob, image);
  for (const digest of blobs) await symlink(blob(digest), join(target, hexOf(digest)));
  await writeLayoutIndex(directory, descriptor);
}
