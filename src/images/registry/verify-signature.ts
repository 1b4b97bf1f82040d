/**
 * Signatures as `cosign sign --key` makes them: the payload is a layer of the image that the registry keeps under
 * the tag `sha256-<hex>.sig`, the signature an annotation of that layer. Only the digest in the payload counts;
 * the name in it does not, so that mirrors work. Transparency logs and certificates are not looked at.
 * Source: cosign's SIGNATURE_SPEC.md; containers/image's "simple signing" payload.
 */
import { verify } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { type Digest, digestOf, isDigest } from '../../base/digest.ts';
import { isSlipwayError, SlipwayError } from '../../base/errors.ts';
import { parseManifest } from '../formats/oci-documents.ts';
import { hexOf } from '../store-files.ts';
import { formatReference, type RegistryReference } from './registry-reference.ts';
import type { SignatureKey } from './signature-keys.ts';
import type { Skopeo } from './skopeo.ts';

const payloadType = 'application/vnd.dev.cosign.simplesigning.v1+json';
const signatureKey = 'dev.cosignproject.cosign/signature';
const maxPayloadBytes = 1024 * 1024;

/** One signature, as a registry says it. */
export interface ClaimedSignature {
  readonly payload: Buffer;
  /** Base64 of an ECDSA signature over the payload, in DER. */
  readonly signature: string;
}

const payloadShape = z.object({
  critical: z.object({
    type: z.literal('cosign container image signature'),
    image: z.object({ 'docker-manifest-digest': z.custom<Digest>(isDigest) }),
  }),
});

export interface SignatureCheck {
  /** Where skopeo works. */
  readonly directory: string;
  readonly reference: RegistryReference;
  /** A signature of one of these is enough. */
  readonly digests: readonly Digest[];
  readonly keys: readonly SignatureKey[];
}

/** @throws SlipwayError `image-signature-missing`, `image-signature-wrong` */
export async function requireSignature(skopeo: Skopeo, check: SignatureCheck): Promise<void> {
  const claimed: ClaimedSignature[] = [];
  for (const digest of check.digests) {
    const found = await fetchSignatures(skopeo, check, digest);
    if (found.some((one) => isSignatureOf(one, digest, check.keys))) return;
    claimed.push(...found);
  }
  throw refused(check, claimed.length);
}

/** Whether one of the keys has signed this digest. */
export function isSignatureOf(
  { payload, signature }: ClaimedSignature,
  digest: Digest,
  keys: readonly SignatureKey[],
): boolean {
  const bytes = Buffer.from(signature, 'base64');
  if (!keys.some(({ key }) => verify('sha256', payload, { key, dsaEncoding: 'der' }, bytes))) return false;
  return signedDigest(payload) === digest;
}

function signedDigest(payload: Buffer): Digest | undefined {
  try {
    const { critical } = payloadShape.parse(JSON.parse(payload.toString('utf8')));
    return critical.image['docker-manifest-digest'];
  } catch {
    return undefined;
  }
}

async function fetchSignatures(
  skopeo: Skopeo,
  { directory, reference }: SignatureCheck,
  digest: Digest,
): Promise<ClaimedSignature[]> {
  const { digest: _, ...rest } = reference;
  const at = { ...rest, tag: `sha256-${hexOf(digest)}.sig` };
  const manifest = await skopeo.manifest(at).catch((error: unknown) => {
    if (isSlipwayError(error, 'image-not-in-registry')) return undefined;
    throw error;
  });
  if (manifest === undefined) return [];
  const { layers } = parseManifest(manifest.toString('utf8'));
  if (layers.reduce((sum, { size }) => sum + size, 0) > maxPayloadBytes) return [];
  const name = `signatures-${hexOf(digest)}`;
  await skopeo.downloadFiles({ ...at, digest: digestOf(manifest) }, name);
  const signed = layers.filter(({ mediaType }) => mediaType === payloadType);
  return await Promise.all(
    signed.map(async (layer) => ({
      payload: await readFile(join(directory, name, hexOf(layer.digest))),
      signature: layer.annotations[signatureKey] ?? '',
    })),
  );
}

function refused({ reference, digests, keys }: SignatureCheck, count: number): SlipwayError {
  const name = formatReference(reference);
  const paths = keys.map(({ path }) => path).join(', ');
  const details = { details: { digests, keys: keys.map(({ path }) => path) } };
  if (count === 0) {
    return new SlipwayError(
      'forbidden',
      'image-signature-missing',
      `${name} is not signed, and SLIPWAY_IMAGE_KEYS demands it (${paths}). Sign it with "cosign sign --key", or ask ` +
        'those who publish it.',
      details,
    );
  }
  return new SlipwayError(
    'forbidden',
    'image-signature-wrong',
    `${name} has ${count} signature${count === 1 ? '' : 's'}, but none of this very image by a key of ` +
      `SLIPWAY_IMAGE_KEYS (${paths}). Do not use it before you know who signed it.`,
    details,
  );
}
