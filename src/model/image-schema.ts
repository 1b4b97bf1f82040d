/** Parses an image's description where it comes from a file or over a wire. */
import { z } from 'zod';
import type { Image } from './image.ts';
import { digestSchema } from './run-schema.ts';

/** An image without the names that the local store gives it. */
export const imageDescriptionSchema = z.strictObject({
  digest: digestSchema,
  createdAt: z.string().exactOptional(),
  architecture: z.string(),
  sizeBytes: z.number(),
  user: z.strictObject({
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
    .strictObject({ protocol: z.number().int(), argv: z.array(z.string()), preload: z.array(z.string()) })
    .exactOptional(),
  packages: z.array(
    z.strictObject({ name: z.string(), version: z.string(), source: z.enum(['debian', 'pypi', 'npm']) }),
  ),
  notes: z.array(z.string()),
  hasShell: z.boolean(),
}) satisfies z.ZodType<Omit<Image, 'names'>>;

export const imageSchema = imageDescriptionSchema.extend({
  names: z.array(z.string()),
}) satisfies z.ZodType<Image>;
