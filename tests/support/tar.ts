/** Tars for tests, made in memory: layers, archives, hostile ones. */
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Header, pack } from 'tar-stream';
import type { Digest } from '../../src/base/digest.ts';

/** An entry; `content` makes it a file unless a type is given. */
export type TarEntry = Partial<Header> & { readonly name: string; readonly content?: string | Uint8Array };

export async function makeTar(entries: readonly TarEntry[]): Promise<Buffer> {
  const packed = pack();
  for (const { content, ...header } of entries) {
    const bytes = Buffer.from(content ?? '');
    const full = { mtime: new Date(1_000_000_000_000), ...header, size: bytes.length };
    packed.entry(full, bytes);
  }
  packed.finalize();
  const chunks: Uint8Array[] = [];
  for await (const chunk of packed) if (chunk instanceof Uint8Array) chunks.push(chunk);
  return Buffer.concat(chunks);
}

export interface LayoutOptions {
  readonly config?: object;
  readonly architecture?: string;
  /** Digests of the uncompressed layers, where they differ from the layers' own. */
  readonly diffIds?: readonly string[];
}

/** Writes an OCI layout; returns the manifest's digest. */
export async function writeOciLayout(
  directory: string,
  layers: readonly Uint8Array[],
  { config = {}, architecture = 'amd64', diffIds }: LayoutOptions = {},
): Promise<Digest> {
  const blobs = join(directory, 'blobs', 'sha256');
  await mkdir(blobs, { recursive: true });
  const put = async (content: Uint8Array | string) => {
    const hex = createHash('sha256').update(content).digest('hex');
    await writeFile(join(blobs, hex), content);
    return { digest: `sha256:${hex}` as const, size: Buffer.byteLength(content) };
  };
  const mediaType = 'application/vnd.oci.image';
  const stored = await Promise.all(layers.map(put));
  const rootfs = { type: 'layers', diff_ids: diffIds ?? stored.map((layer) => layer.digest) };
  const configBlob = await put(JSON.stringify({ architecture, os: 'linux', config, rootfs }));
  const manifest = await put(
    JSON.stringify({
      schemaVersion: 2,
      config: { mediaType: `${mediaType}.config.v1+json`, ...configBlob },
      layers: stored.map((layer) => ({ mediaType: `${mediaType}.layer.v1.tar`, ...layer })),
    }),
  );
  const index = {
    schemaVersion: 2,
    manifests: [{ mediaType: `${mediaType}.manifest.v1+json`, ...manifest }],
  };
  await writeFile(join(directory, 'index.json'), JSON.stringify(index));
  await writeFile(join(directory, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  return manifest.digest;
}
