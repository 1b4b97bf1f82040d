/** Parses a driver's report where it comes over a wire. */
import { z } from 'zod';
import { controlNames } from '../model/control.ts';
import type { Probe } from './driver.ts';

export const probeSchema = z.strictObject({
  driver: z.enum(['oci', 'docker', 'kubernetes']),
  usable: z.boolean(),
  problems: z.array(z.string()),
  runtime: z.strictObject({ name: z.string(), version: z.string() }).nullable(),
  controls: z.array(
    z.strictObject({
      name: z.enum(controlNames),
      state: z.enum(['on', 'off', 'missing']),
      detail: z.string(),
    }),
  ),
  measures: z.array(z.string()),
}) satisfies z.ZodType<Probe>;
