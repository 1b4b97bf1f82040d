/**
 * Brings an image from a registry into the store: allowed and signed as the operator demands, chosen for one
 * platform, pinned by digest before its layers are fetched, imported like any other hostile image. Next:
 * remote-image.ts (which image), verify-signature.ts, skopeo.ts (the bytes), push-image.ts (the other way).
 */
import { link, mkdir, stat, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../../base/digest.ts';
import { isSlipwayError, SlipwayError } from '../../base/errors.ts';
import { formatBytes } from '../../base/units.ts';
import { type Image, imageLabels } from '../../model/image.ts';
import { digestOfFile } from '../blob-staging.ts';
import type { HostEnvironment } from '../build/build-settings.ts';
import { writeLayoutIndex } from '../formats/oci-layout.ts';
import { hostPlatform, type Platform } from '../formats/platform.ts';
import { parseImageName } from '../image-names.ts';
import type { ImageProgress, ImageStore } from '../image-store.ts';
import { hexOf } from '../store-files.ts';
import { type CredentialSource, readCredentials } from './credentials.ts';
import { startDownloadMeter, tooMuch } from './download-meter.ts';
import { wrongDigest } from './registry-error.ts';
import { assertAllowed, type RegistryPolicy } from './registry-policy.ts';
import {
  formatReference,
  parseRegistryReference,
  type RegistryReference,
  repositoryName,
} from './registry-reference.ts';
import { findRemoteImage, type RemoteImage } from './remote-image.ts';
import { readSignatureKeys } from './signature-keys.ts';
import { pinned, Skopeo } from './skopeo.ts';
import { requireSignature } from './verify-signature.ts';

export interface TransferOptions {
  readonly store: ImageStore;
  /** Proxies and the CA of this host. */
  readonly hostEnv: HostEnvironment;
  readonly credentials?: CredentialSource;
  /** How long it may take; default: 30 minutes. */
  readonly timeoutMs?: number | undefined;
  readonly progress?: ImageProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface PullOptions extends TransferOptions {
  /** As people write it. */
  readonly reference: string;
  /** The name that the image gets; default: the reference without its digest. */
  readonly name?: string | undefined;
  readonly platform?: Platform | undefined;
  readonly policy: RegistryPolicy;
}

export const defaultTimeoutMs = 30 * 60_000;

/**
 * @returns the image; the same one, without any download, when the store has it
 * @throws SlipwayError `registry-not-allowed`, `registry-unauthorized`, `registry-unavailable`, `registry-timeout`,
 *   `image-not-in-registry`, `image-platform-missing`, `registry-wrong-digest`, `image-signature-missing`,
 *   `image-signature-wrong`, `transfer-cancelled`, and what an import throws
 */
export async function pullImage(options: PullOptions): Promise<Image> {
  const { store, policy, progress } = options;
  const reference = parseRegistryReference(options.reference);
  assertAllowed(reference, policy);
  const name = parseImageName(options.name ?? (await defaultName(reference, store)));
  const keys = await readSignatureKeys(reference, policy.keysDir);
  await using workspace = await store.workspace();
  const skopeo = await openSkopeo(reference, workspace.path, options);
  progress?.(`asking for ${formatReference(reference)}`);
  const remote = await findRemoteImage(skopeo, reference, options.platform ?? hostPlatform());
  if (keys.length > 0) {
    const digests = remote.signable.toReversed();
    await requireSignature(skopeo, { directory: workspace.path, reference, digests, keys });
    progress?.('signature verified');
  }
  const there = await intact(store, remote.digest);
  if (there) {
    progress?.('the store has it already');
    await store.tag(name, there.digest);
    return await store.resolve(name);
  }
  const path = await download(skopeo, remote, { directory: workspace.path, reference, options });
  return await store.import({ kind: 'oci-layout', path }, name, options);
}

/** Skopeo in a workspace, with the credentials for one registry. */
export async function openSkopeo(
  reference: RegistryReference,
  directory: string,
  { hostEnv, credentials = {}, timeoutMs = defaultTimeoutMs, progress, signal }: TransferOptions,
): Promise<Skopeo> {
  const found = await readCredentials(reference, credentials);
  return await Skopeo.open({ directory, hostEnv, credentials: found, timeoutMs, progress, signal });
}

/** As the registry has it. Docker's `python` and `node` do not take the names of our own images by accident. */
async function defaultName(reference: RegistryReference, store: ImageStore): Promise<string> {
  const name = parseImageName(`${repositoryName(reference)}:${reference.tag}`);
  const holder = (await store.list()).find(({ names }) => names.includes(name));
  if (holder?.labels[imageLabels.recipe] === undefined) return name;
  throw new SlipwayError(
    'conflict',
    'image-name-taken',
    `The name ${JSON.stringify(name)} belongs to an image of Slipway's own. Give another by --name.`,
  );
}

/** The image, if the store has it and none of its blobs is damaged. */
async function intact(store: ImageStore, digest: Digest): Promise<Image | undefined> {
  try {
    const image = await store.resolve(digest);
    await store.verify(image);
    return image;
  } catch (error) {
    if (isSlipwayError(error, 'image-not-found') || isSlipwayError(error, 'image-corrupted'))
      return undefined;
    throw error;
  }
}

interface Destination {
  readonly directory: string;
  readonly reference: RegistryReference;
  readonly options: PullOptions;
}

/** @returns the path of a complete OCI layout */
async function download(
  skopeo: Skopeo,
  remote: RemoteImage,
  { directory, reference, options }: Destination,
): Promise<string> {
  const layout = join(directory, 'layout');
  const blobs = join(layout, 'blobs', 'sha256');
  await mkdir(blobs, { recursive: true, mode: 0o700 });
  const layers = new Map(remote.manifest.layers.map(({ digest, size }) => [digest, size]));
  let here = 0;
  for (const [digest, size] of layers) {
    if (!(await reuse(options.store.blob(digest), join(blobs, hexOf(digest)), digest))) continue;
    layers.delete(digest);
    here += size;
  }
  const expectedBytes = [...layers.values()].reduce((sum, size) => sum + size, 0);
  options.progress?.(
    `fetching ${layers.size} layers, ${formatBytes(expectedBytes)}; ${formatBytes(here)} are here`,
  );
  if (layers.size > 0) {
    using meter = startDownloadMeter({
      directory: layout,
      initialBytes: here,
      expectedBytes,
      progress: options.progress,
    });
    await skopeo
      .download(pinned(reference, remote.digest), 'layout', meter.signal)
      .catch((error: unknown) => {
        throw meter.signal.aborted ? tooMuch(formatReference(reference)) : error;
      });
  }
  await writeFile(join(blobs, hexOf(remote.manifest.config.digest)), remote.config);
  await writeFile(join(blobs, hexOf(remote.digest)), remote.bytes);
  for (const digest of layers.keys()) await assertFetched(join(blobs, hexOf(digest)), digest);
  await writeLayoutIndex(layout, {
    digest: remote.digest,
    size: remote.bytes.length,
    mediaType: remote.mediaType,
  });
  return layout;
}

/** Links a blob of the store into the layout, if it is there and whole. */
async function reuse(stored: string, target: string, digest: Digest): Promise<boolean> {
  try {
    await link(stored, target);
    if ((await digestOfFile(target)) === digest) return true;
  } catch {
    // It is not there, or cannot be read: it is fetched.
    return false;
  }
  await unlink(target);
  return false;
}

async function assertFetched(path: string, digest: Digest): Promise<void> {
  if (await stat(path).catch(() => undefined)) return;
  throw wrongDigest(digest, 'it never came');
}
