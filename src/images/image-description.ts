/** Reads back the `image.json` that the store writes beside each unpacked tree. */
import { z } from 'zod';
import { type Digest, isDigest } from '../base/digest.ts';
import { SlipwayError } from '../base/errors.ts';
import type { ImageDescription } from './unpack/unpack-image.ts';

const description = z.object({
  digest: z.custom<Digest>(isDigest),
  createdAt: z.string().exactOptional(),
  architecture: z.string(),
  sizeBytes: z.number(),
  user: z.object({
    uid: z.number().int().positive(),
    gid: z.number().int().positive(),
    groups: z.array(z.number().int().positive()).exactOptional(),
    name: z.string().exactOptional(),
    home: z.string(),
  }),
  env: z.record(z.string(), z.string()),
  workdir: z.string(),
  entrypoint: z.array(z.string()),
  cmd: z.array(z.string()),
  labels: z.record(z.string(), z.string()),
  runner: z
    .object({ protocol: z.number().int(), argv: z.array(z.string()), preload: z.array(z.string()) })
    .exactOptional(),
  packages: z.array(z.object({ name: z.string(), version: z.string(), source: z.enum(['debian', 'pypi']) })),
  notes: z.array(z.string()),
  hasShell: z.boolean(),
});

/** @throws SlipwayError `image-corrupted` */
export function parseDescription(json: string): ImageDescription {
  try {
    return description.parse(JSON.parse(json));
  } catch (cause) {
    throw new SlipwayError(
      'corrupted',
      'image-corrupted',
      "An image's description (image.json) cannot be read. Remove the image, then build or import it again.",
      { cause },
    );
  }
}
