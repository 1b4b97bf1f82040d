/**
 * The messages of the starter protocol (docs/starter-protocol.md): HTTP/2 over an inherited socket pair, a Unix
 * socket or mutual TLS. An execution is one stream of frames (base/frames.ts) in both directions. The starter
 * parses every field, because it does not trust the control plane; the control plane parses too, because a
 * starter may be of another version.
 */
import { z } from 'zod';
import { SlipwayError } from '../../base/errors.ts';
import { limitsSchema } from '../../model/limits.ts';
import {
  digestSchema,
  egressSchema,
  outcomeSchema,
  programSchema,
  relativePathSchema,
  runIdSchema,
  usageSchema,
} from '../../model/run-schema.ts';
import type { ExecutionOrder } from '../starter.ts';

/** A stream may hold this much unread, so that one slow reader does not hold up the others. */
const streamWindowBytes = 256 * 1024;
const maxStreams = 1024;

export const sessionWindowBytes = streamWindowBytes * maxStreams;

export const http2Settings = {
  initialWindowSize: streamWindowBytes,
  maxConcurrentStreams: maxStreams,
  enablePush: false,
};

const size = z.number().int().min(0);

export const orderSchema = z.strictObject({
  run: runIdSchema,
  image: digestSchema,
  program: programSchema,
  limits: limitsSchema,
  outputs: z.array(z.string().min(1).max(1024)).max(256),
  stdin: z.boolean(),
  egress: egressSchema.exactOptional(),
}) satisfies z.ZodType<ExecutionOrder>;

/** Control plane → starter, in this order: order, code*, input*, fed, go, stdin bytes, stdin-end. */
export const requestMessageSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('order'), order: orderSchema }),
  z.strictObject({ type: z.literal('code'), path: relativePathSchema, sizeBytes: size }),
  z.strictObject({ type: z.literal('input'), path: relativePathSchema, sizeBytes: size }),
  z.strictObject({ type: z.literal('fed') }),
  z.strictObject({ type: z.literal('go') }),
  z.strictObject({ type: z.literal('stdin-end') }),
]);

export type RequestMessage = z.infer<typeof requestMessageSchema>;

/** Starter → control plane. `output` is followed by one bytes frame, `file` by its content and `file-end`. */
export const replyMessageSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('prepared'), sandbox: z.string() }),
  z.strictObject({ type: z.literal('started') }),
  z.strictObject({ type: z.literal('output'), stream: z.enum(['stdout', 'stderr']) }),
  z.strictObject({ type: z.literal('exited'), outcome: outcomeSchema, usage: usageSchema }),
  z.strictObject({ type: z.literal('file'), path: z.string(), sizeBytes: size }),
  z.strictObject({ type: z.literal('file-end') }),
  z.strictObject({ type: z.literal('skipped'), path: z.string(), reason: z.string() }),
  z.strictObject({ type: z.literal('done') }),
  z.strictObject({
    type: z.literal('error'),
    kind: z.string(),
    code: z.string(),
    message: z.string(),
    details: z.record(z.string(), z.unknown()),
  }),
]);

export type ReplyMessage = z.infer<typeof replyMessageSchema>;

export const cancelSchema = z.strictObject({ reason: z.string().max(1000), graceMs: size.max(600_000) });

/** The control plane tells that it serves, so that whoever started it can say where. */
export const announcementSchema = z.strictObject({ url: z.string().max(1000) });

/** Parses a message of the protocol. @throws SlipwayError `bad-starter-message` */
export function parseMessage<Schema extends z.ZodType>(schema: Schema, value: unknown): z.infer<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new SlipwayError(
    'invalid-input',
    'bad-starter-message',
    `A message between control plane and starter is not understood: ${z.prettifyError(parsed.error).slice(0, 500)}`,
  );
}
