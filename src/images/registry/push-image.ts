/** Sends an image of the store to a registry, byte for byte: its digest stays the same. */
import { join } from 'node:path';
import { digestOf } from '../../base/digest.ts';
import { SlipwayError } from '../../base/errors.ts';
import type { Image } from '../../model/image.ts';
import { writeLayoutOfLinks } from '../formats/oci-layout.ts';
import { openSkopeo, type TransferOptions } from './pull-image.ts';
import { wrongDigest } from './registry-error.ts';
import { formatReference, parseRegistryReference } from './registry-reference.ts';

export interface PushOptions extends TransferOptions {
  /** A name or digest in the store. */
  readonly image: string;
  /** Where to, with a tag. */
  readonly reference: string;
}

/**
 * @throws SlipwayError `image-not-found`, `image-corrupted`, `bad-push-target`, and what a transfer throws
 */
export async function pushImage(options: PushOptions): Promise<Image> {
  const { store, progress } = options;
  const reference = parseRegistryReference(options.reference);
  if (reference.digest !== undefined) {
    throw new SlipwayError(
      'invalid-input',
      'bad-push-target',
      'An image is pushed to a tag, not to a digest: its digest comes with it.',
    );
  }
  const image = await store.resolve(options.image);
  await store.verify(image);
  await using workspace = await store.workspace();
  await writeLayoutOfLinks((digest) => store.blob(digest), image, join(workspace.path, 'layout'));
  const skopeo = await openSkopeo(reference, workspace.path, options);
  progress?.(`sending ${image.digest} to ${formatReference(reference)}`);
  await skopeo.upload('layout', reference);
  const stored = digestOf(await skopeo.manifest(reference));
  if (stored !== image.digest) throw wrongDigest(formatReference(reference), `it keeps ${stored}`);
  return image;
}
