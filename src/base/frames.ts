/**
 * The framing that the runner protocol and the starter protocol share: a 4-byte big-endian payload length,
 * a 1-byte kind, the payload. A reader caps the length before it allocates anything, so that a hostile peer
 * costs at most one frame of memory. Vectors: conformance/frames.json. Not here: what the frames mean
 * (docs/runner-protocol.md, docs/starter-protocol.md).
 */
import { SlipwayError } from './errors.ts';

/** A frame: control (a JSON object) or bytes (file content, output). */
export type Frame =
  | { readonly kind: 'json'; readonly value: Record<string, unknown> }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array };

/** The largest payload of one frame, in bytes, unless a peer agreed on less. */
export const maxFrameBytes = 1024 * 1024;

const headerBytes = 5;
const jsonKind = 1;
const bytesKind = 2;

export function encodeJsonFrame(value: object): Buffer {
  return encodeFrame(jsonKind, Buffer.from(JSON.stringify(value)));
}

export function encodeBytesFrame(bytes: Uint8Array): Buffer {
  return encodeFrame(bytesKind, bytes);
}

function encodeFrame(kind: number, payload: Uint8Array): Buffer {
  if (payload.length > maxFrameBytes) throw badFrame(`A frame of ${payload.length} bytes is over the limit.`);
  const frame = Buffer.allocUnsafe(headerBytes + payload.length);
  frame.writeUInt32BE(payload.length, 0);
  frame.writeUInt8(kind, 4);
  frame.set(payload, headerBytes);
  return frame;
}

/** Splits `bytes` into frames no larger than the limit. */
export function* encodeBytesFrames(bytes: Uint8Array, pieceBytes = 64 * 1024): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += pieceBytes)
    yield encodeBytesFrame(bytes.subarray(at, at + pieceBytes));
}

/**
 * Reads frames from a byte stream.
 *
 * @throws SlipwayError `bad-frame` on a frame over `limit` bytes, an unknown kind, JSON that is not an
 *   object, or a stream that ends inside a frame.
 */
export async function* readFrames(
  source: AsyncIterable<Uint8Array>,
  limit = maxFrameBytes,
): AsyncGenerator<Frame, void, undefined> {
  let pending: Buffer[] = [];
  let available = 0;
  for await (const chunk of source) {
    pending.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    available += chunk.length;
    let wanted = wantedBytes(pending, limit);
    if (available < wanted) continue;
    let buffer = Buffer.concat(pending);
    while (buffer.length >= headerBytes) {
      wanted = wantedBytes([buffer], limit);
      if (buffer.length < wanted) break;
      yield decodeFrame(buffer.readUInt8(4), buffer.subarray(headerBytes, wanted));
      buffer = buffer.subarray(wanted);
    }
    pending = buffer.length > 0 ? [buffer] : [];
    available = buffer.length;
  }
  if (available > 0) throw badFrame('The stream ended inside a frame.');
}

/** How many bytes the frame at the front needs, as far as is known. */
function wantedBytes(pending: Buffer[], limit: number): number {
  const first = pending[0];
  if (first === undefined) return headerBytes;
  const head = first.length >= headerBytes ? first : Buffer.concat(pending);
  if (head.length < headerBytes) return headerBytes;
  const length = head.readUInt32BE(0);
  if (length > limit) throw badFrame(`A frame of ${length} bytes is over the limit of ${limit}.`);
  return headerBytes + length;
}

function decodeFrame(kind: number, payload: Buffer): Frame {
  if (kind === bytesKind) return { kind: 'bytes', bytes: payload };
  if (kind === jsonKind) return { kind: 'json', value: parseObject(payload) };
  throw badFrame(`A frame has the unknown kind ${kind}.`);
}

function parseObject(payload: Buffer): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(payload));
  } catch (cause) {
    throw badFrame('A control frame is not JSON.', cause);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw badFrame('A control frame is not a JSON object.');
  }
  return Object.fromEntries(Object.entries(value));
}

function badFrame(message: string, cause?: unknown): SlipwayError {
  return new SlipwayError('invalid-input', 'bad-frame', message, { cause });
}
