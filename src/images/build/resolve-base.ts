/**
 * Puts the base image of a Dockerfile where buildah finds it: from the image store, else pulled from its
 * registry, else bootstrapped from Debian's packages.
 */
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../../base/digest.ts';
import { isSlipwayError, SlipwayError } from '../../base/errors.ts';
import type { Image } from '../../model/image.ts';
import { parseManifest, readDocument } from '../formats/oci-documents.ts';
import type { ImageStore } from '../image-store.ts';
import { hexOf } from '../store-files.ts';
import { bootstrapBase, bootstrappable } from './bootstrap-base.ts';
import type { Buildah, BuildOutput } from './buildah.ts';

const pullTimeoutMs = 60_000;

export interface Kitchen {
  readonly store: ImageStore;
  readonly buildah: Buildah;
  readonly output: BuildOutput;
}

/**
 * Afterwards buildah's storage has an image named `reference`.
 *
 * @returns the remarks of the base, which an image built on it inherits
 * @throws SlipwayError `base-unavailable`
 */
export async function resolveBase(reference: string, kitchen: Kitchen): Promise<readonly string[]> {
  const image = (await stored(reference, kitchen.store)) ?? (await fetched(reference, kitchen));
  await using directory = await temporary(kitchen);
  const layout = join(directory.path, 'base');
  await writeLayout(kitchen.store, image, layout);
  await kitchen.buildah.load(layout, qualified(reference));
  return image.notes;
}

async function stored(reference: string, store: ImageStore): Promise<Image | undefined> {
  try {
    const image = await store.resolve(reference);
    return image;
  } catch (error) {
    if (isSlipwayError(error, 'image-not-found')) return undefined;
    throw error;
  }
}

/** Pulls or bootstraps a base and keeps it in the store, where the next build finds it. */
async function fetched(reference: string, { store, buildah, output }: Kitchen): Promise<Image> {
  await using directory = await temporary({ buildah });
  const layout = join(directory.path, 'pulled');
  const reason = await pull(reference, { layout, buildah, output });
  output.progress?.(reason === undefined ? 'pulled' : `not pulled: ${reason.split('\n').at(-1)}`);
  if (reason === undefined)
    return await store.import({ kind: 'oci-layout', path: layout }, reference, output);
  const base = await bootstrapBase(shortened(reference), { directory: directory.path, buildah, output });
  if (base === undefined) throw unavailable(reference, reason);
  return await store.import({ kind: 'rootfs', path: base.tar, config: base.config }, reference, output);
}

/** @returns why it could not be pulled, if so */
async function pull(
  reference: string,
  { layout, buildah, output }: { layout: string; buildah: Buildah; output: BuildOutput },
): Promise<string | undefined> {
  output.progress?.(`pulling ${qualified(reference)}`);
  const deadline = AbortSignal.timeout(pullTimeoutMs);
  const signal = output.signal ? AbortSignal.any([output.signal, deadline]) : deadline;
  try {
    await buildah.pull(qualified(reference), { signal });
    await buildah.exportLayout(qualified(reference), layout);
    return undefined;
  } catch (error) {
    output.signal?.throwIfAborted();
    if (!isSlipwayError(error)) throw error;
    return deadline.aborted ? `no answer within ${pullTimeoutMs / 1000} s` : error.message;
  }
}

/** Hands an image of the store to buildah as an OCI layout of links. */
export async function writeLayout(store: ImageStore, image: Image, directory: string): Promise<void> {
  const blobs = join(directory, 'blobs', 'sha256');
  await mkdir(blobs, { recursive: true });
  const json = await readDocument(store.blob(image.digest));
  const manifest = parseManifest(json);
  const parts = [manifest.config.digest, ...manifest.layers.map((layer) => layer.digest)];
  const link = (digest: Digest) => symlink(store.blob(digest), join(blobs, hexOf(digest)));
  for (const digest of new Set([image.digest, ...parts])) await link(digest);
  const descriptor = {
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    digest: image.digest,
    size: Buffer.byteLength(json),
  };
  await writeFile(
    join(directory, 'index.json'),
    JSON.stringify({ schemaVersion: 2, manifests: [descriptor] }),
  );
  await writeFile(join(directory, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
}

async function temporary({ buildah }: Pick<Kitchen, 'buildah'>): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(buildah.env['TMPDIR'] ?? '/tmp', 'image-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** `python:3.11-slim` is `docker.io/library/python:3.11-slim`. */
export function qualified(reference: string): string {
  const [first = '', ...rest] = reference.split('/');
  if (rest.length === 0) return `docker.io/library/${reference}`;
  return /[.:]|^localhost$/.test(first) ? reference : `docker.io/${reference}`;
}

function shortened(reference: string): string {
  return reference.replace(/^docker\.io\//, '').replace(/^library\//, '');
}

function unavailable(reference: string, reason: string): SlipwayError {
  const last = reason.split('\n').at(-1) ?? '';
  return new SlipwayError(
    'unavailable',
    'base-unavailable',
    `The base image ${JSON.stringify(reference)} is not in the store, cannot be pulled (${last}), and only ` +
      `${bootstrappable.join(' and ')} can be made from Debian's packages. Import it with ` +
      '`slipway image import PATH --name NAME`.',
    { details: { reference } },
  );
}
