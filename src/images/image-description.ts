/** Reads back the `image.json` that the store writes beside each unpacked tree. */
import { SlipwayError } from '../base/errors.ts';
import { imageDescriptionSchema } from '../model/image-schema.ts';
import type { ImageDescription } from './unpack/unpack-image.ts';

/** @throws SlipwayError `image-corrupted` */
export function parseDescription(json: string): ImageDescription {
  try {
    return imageDescriptionSchema.parse(JSON.parse(json));
  } catch (cause) {
    throw new SlipwayError(
      'corrupted',
      'image-corrupted',
      "An image's description (image.json) cannot be read. Build or import it again.",
      { cause },
    );
  }
}
