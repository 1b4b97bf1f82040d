/** One exchange with a starter over HTTP/2: opening streams, plain requests, errors as they were there. */
import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2';
import { z } from 'zod';
import { type ErrorKind, errorKinds, messageOf, SlipwayError } from '../../base/errors.ts';

/** Opens a stream. @throws SlipwayError `starter-unavailable` */
export function open(session: ClientHttp2Session, method: string, path: string): ClientHttp2Stream {
  if (session.closed || session.destroyed) throw starterGone();
  try {
    const stream = session.request({ ':method': method, ':path': path });
    stream.on('error', () => undefined); // seen by whoever reads or writes the stream
    return stream;
  } catch (cause) {
    throw starterGone(cause); // it has begun to close, which no property tells
  }
}

/** Sends a body, reads the JSON reply. @throws what the starter says went wrong */
export async function exchange(stream: ClientHttp2Stream, body?: Buffer): Promise<unknown> {
  let status: number | undefined;
  stream.once('response', (headers) => {
    status = headers[':status'];
  });
  stream.end(body);
  const text = await readText(stream);
  if (status === 200) return parseWhole(text);
  if (status === undefined) throw starterGone();
  throw toError(failureSchema.parse(parseWhole(text)));
}

async function readText(stream: ClientHttp2Stream): Promise<string> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of stream) chunks.push(chunk);
  } catch (cause) {
    throw starterGone(cause);
  }
  return Buffer.concat(chunks).toString();
}

/** A connection that ends in the middle of a reply leaves a part of it, which is no JSON. */
function parseWhole(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw starterGone(cause);
  }
}

const failureSchema = z.object({
  kind: z.string(),
  code: z.string(),
  message: z.string(),
  details: z.record(z.string(), z.unknown()),
});

/** The starter's own error, as it was there. */
export function toError(failure: z.infer<typeof failureSchema>): SlipwayError {
  const kind: ErrorKind = errorKinds.find((known) => known === failure.kind) ?? 'internal';
  return new SlipwayError(kind, failure.code, failure.message, { details: failure.details });
}

export function starterGone(cause?: unknown): SlipwayError {
  const why = cause === undefined ? '' : ` (${messageOf(cause)})`;
  return new SlipwayError('unavailable', 'starter-unavailable', `The starter cannot be reached${why}.`, {
    cause,
  });
}
