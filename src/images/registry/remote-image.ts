/**
 * Finds out which image a name in a registry stands for, before anything large is fetched: the manifest for one
 * platform, pinned by its digest. Every document is checked against the digest under which it was asked for.
 */
import { type Digest, digestOf } from '../../base/digest.ts';
import {
  isIndex,
  type OciManifest,
  ociManifestType,
  parseConfig,
  parseIndex,
  parseManifest,
  unreadable,
} from '../formats/oci-documents.ts';
import { fits, imagesFor, type Platform, platformMissing, platformsIn } from '../formats/platform.ts';
import { wrongDigest } from './registry-error.ts';
import { formatReference, type RegistryReference } from './registry-reference.ts';
import { pinned, type Skopeo } from './skopeo.ts';

const maxIndexDepth = 4;

export interface RemoteImage {
  /** Of the manifest. */
  readonly digest: Digest;
  /** Of the manifest and of the indexes that led to it: a signature of any of them covers the image. */
  readonly signable: readonly Digest[];
  readonly manifest: OciManifest;
  /** The manifest as it came. */
  readonly bytes: Buffer;
  readonly mediaType: string;
  /** The config as it came; its digest is that of the manifest. */
  readonly config: Buffer;
}

/** @throws SlipwayError `image-platform-missing`, `registry-wrong-digest`, `image-unreadable` and those of skopeo */
export async function findRemoteImage(
  skopeo: Skopeo,
  reference: RegistryReference,
  platform: Platform,
): Promise<RemoteImage> {
  const signable: Digest[] = [];
  let at = reference;
  for (let depth = 0; depth < maxIndexDepth; depth += 1) {
    const bytes = await fetchDocument(skopeo, at);
    const json = bytes.toString('utf8');
    signable.push(digestOf(bytes));
    if (!isIndex(json)) return describe(skopeo, reference, { bytes, signable, platform });
    const { manifests } = parseIndex(json);
    const [first] = imagesFor(manifests, platform);
    if (first === undefined) throw platformMissing(platform, platformsIn(manifests));
    at = pinned(reference, first.digest);
  }
  throw unreadable('index', 'it points from index to index');
}

async function fetchDocument(skopeo: Skopeo, reference: RegistryReference): Promise<Buffer> {
  const bytes = await skopeo.manifest(reference);
  assertDigest(reference, bytes, reference.digest);
  return bytes;
}

async function describe(
  skopeo: Skopeo,
  reference: RegistryReference,
  { bytes, signable, platform }: { bytes: Buffer; signable: readonly Digest[]; platform: Platform },
): Promise<RemoteImage> {
  const manifest = parseManifest(bytes.toString('utf8'));
  const digest = digestOf(bytes);
  const config = await skopeo.config(pinned(reference, digest));
  assertDigest(reference, config, manifest.config.digest);
  const { architecture, variant } = parseConfig(config.toString('utf8'));
  const own = variant === undefined ? { architecture } : { architecture, variant };
  if (!fits({ ...own, variant: own.variant ?? platform.variant }, platform)) {
    throw platformMissing(platform, `linux/${[architecture, ...(variant ? [variant] : [])].join('/')}`);
  }
  return { digest, signable, manifest, bytes, mediaType: manifest.mediaType ?? ociManifestType, config };
}

function assertDigest(reference: RegistryReference, bytes: Buffer, expected: Digest | undefined): void {
  const found = digestOf(bytes);
  if (expected === undefined || found === expected) return;
  throw wrongDigest(formatReference(reference), `${found} in place of ${expected}`);
}
