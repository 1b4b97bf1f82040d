/**
 * Puts the base image of a Dockerfile where buildah finds it: from the image store, else pulled from its
 * registry, else bootstrapped from Debian's packages.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isSlipwayError, SlipwayError } from '../../base/errors.ts';
import type { Image } from '../../model/image.ts';
import { writeLayoutOfLinks } from '../formats/oci-layout.ts';
import type { ImageStore } from '../image-store.ts';
import { pullImage } from '../registry/pull-image.ts';
import type { RegistryPolicy } from '../registry/registry-policy.ts';
import { bootstrapBase, bootstrappable } from './bootstrap-base.ts';
import type { HostEnvironment } from './build-settings.ts';
import type { Buildah, BuildOutput } from './buildah.ts';

const pullTimeoutMs = 5 * 60_000;

export interface Kitchen {
  readonly store: ImageStore;
  readonly buildah: Buildah;
  readonly output: BuildOutput;
  /** Where bases may come from. */
  readonly policy: RegistryPolicy;
  readonly hostEnv: HostEnvironment;
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
  await writeLayoutOfLinks((digest) => kitchen.store.blob(digest), image, layout);
  await kitchen.buildah.load(layout, qualified(reference));
  return image.notes;
}

async function stored(reference: string, store: ImageStore): Promise<Image | undefined> {
  try {
    // `name@sha256:…` is that very image, whatever it is called here.
    return await store.resolve(reference.split('@')[1] ?? reference);
  } catch (error) {
    if (isSlipwayError(error, 'image-not-found')) return undefined;
    throw error;
  }
}

/** Pulls or bootstraps a base and keeps it in the store, where the next build finds it. */
async function fetched(reference: string, kitchen: Kitchen): Promise<Image> {
  const { store, buildah, output } = kitchen;
  const pulled = await pull(reference, kitchen);
  if (!(pulled instanceof SlipwayError)) return pulled;
  output.progress?.(`not pulled: ${pulled.message}`);
  await using directory = await temporary(kitchen);
  const base = await bootstrapBase(shortened(reference), { directory: directory.path, buildah, output });
  if (base === undefined) throw unavailable(reference, pulled);
  return await store.import({ kind: 'rootfs', path: base.tar, config: base.config }, reference, output);
}

/** What a base may be bootstrapped for; a wrong digest or signature is not among it. */
const harmless = [
  'registry-not-allowed',
  'registry-unauthorized',
  'registry-unavailable',
  'registry-timeout',
  'image-not-in-registry',
  'image-platform-missing',
  'program-missing',
];

/** @returns the image, or why it could not be had */
async function pull(
  reference: string,
  { store, policy, hostEnv, output }: Kitchen,
): Promise<Image | SlipwayError> {
  const credentials = { home: hostEnv['HOME'] };
  try {
    const options = { store, reference, policy, hostEnv, credentials, timeoutMs: pullTimeoutMs, ...output };
    return await pullImage(reference.includes('@') ? options : { ...options, name: reference });
  } catch (error) {
    if (isSlipwayError(error) && harmless.includes(error.code)) return error;
    throw error;
  }
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

function unavailable(reference: string, reason: SlipwayError): SlipwayError {
  return new SlipwayError(
    'unavailable',
    'base-unavailable',
    `The base image ${JSON.stringify(reference)} is not in the store, cannot be pulled (${reason.message}), and only ` +
      `${bootstrappable.join(' and ')} can be made from Debian's packages. Import it with ` +
      '`slipway image import PATH --name NAME`.',
    { details: { reference }, cause: reason },
  );
}
