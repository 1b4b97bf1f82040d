/** The API's smaller shapes: blobs, images, log records, health, problems. */
import { z } from 'zod';
import { digestText } from './texts.ts';

export const blobViewSchema = z.object({ digest: digestText, sizeBytes: z.number() }).meta({ id: 'Blob' });

export const imageSummarySchema = z
  .object({
    digest: digestText,
    names: z.array(z.string()),
    sizeBytes: z.number(),
    architecture: z.string(),
    createdAt: z.string().nullable(),
    runsScripts: z.boolean().describe('Whether the image has a runner; any image runs commands.'),
    notes: z.array(z.string()),
  })
  .meta({ id: 'ImageSummary' });

export const imageViewSchema = imageSummarySchema
  .extend({
    packages: z.array(z.object({ name: z.string(), version: z.string(), source: z.string() })),
    user: z.object({ uid: z.number(), gid: z.number() }),
    workdir: z.string(),
    entrypoint: z.array(z.string()),
    cmd: z.array(z.string()),
  })
  .meta({ id: 'Image' });

export const imageListSchema = z.object({ images: z.array(imageSummarySchema) }).meta({ id: 'ImageList' });

/** One line of `application/x-ndjson` logs. */
export const logLineSchema = z
  .discriminatedUnion('type', [
    z.object({ type: z.literal('output'), stream: z.enum(['stdout', 'stderr']), base64: z.string() }),
    z.object({ type: z.literal('cut'), dropped: z.object({ stdout: z.number(), stderr: z.number() }) }),
  ])
  .meta({ id: 'LogLine' });

const partSchema = z.object({ name: z.string(), ok: z.boolean(), problems: z.array(z.string()) });

export const readinessSchema = z
  .object({
    ready: z.boolean(),
    parts: z.array(partSchema).optional().describe('Reasons; only for callers with a valid token.'),
  })
  .meta({ id: 'Readiness' });

export const healthSchema = z
  .object({ status: z.literal('alive'), version: z.string() })
  .meta({ id: 'Health' });

export const problemMediaType = 'application/problem+json';

/** As a client reads it: later kinds of errors must not break it. */
export const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.number(),
    detail: z.string(),
    code: z.string(),
    kind: z.string(),
    details: z.record(z.string(), z.unknown()).optional(),
    requestId: z.string(),
  })
  .meta({ id: 'Problem' });

export type BlobView = z.infer<typeof blobViewSchema>;
export type ImageSummary = z.infer<typeof imageSummarySchema>;
export type ImageView = z.infer<typeof imageViewSchema>;
export type ImageList = z.infer<typeof imageListSchema>;
export type LogLine = z.infer<typeof logLineSchema>;
export type Readiness = z.infer<typeof readinessSchema>;
export type ProblemDocument = z.infer<typeof problemSchema>;
