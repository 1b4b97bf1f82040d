/**
 * The framing of the runner's channel: u32 big-endian payload length, u8 kind, payload. The same format as
 * src/base/frames.ts; conformance/frames.json holds the vectors for both.
 */
import { readSync, writeSync } from 'node:fs';

export const maxFrameBytes = 1024 * 1024;
export const jsonKind = 1;
export const bytesKind = 2;

const headerBytes = 5;

/** The peer broke the framing. */
export class FrameError extends Error {
  /**
   * @param {'too-large' | 'unknown-kind' | 'not-json' | 'not-object' | 'truncated'} reason
   * @param {string} message
   */
  constructor(reason, message) {
    super(message);
    this.reason = reason;
  }
}

/**
 * One frame, or undefined when the peer closed before it.
 *
 * @param {number} descriptor
 * @param {number} [limit] the largest payload in bytes; it is checked before anything is allocated
 * @returns {{ kind: number, payload: Buffer } | undefined}
 */
export function readFrame(descriptor, limit = maxFrameBytes) {
  const header = readExactly(descriptor, headerBytes);
  if (header.length === 0) return undefined;
  const length = header.readUInt32BE(0);
  const kind = header.readUInt8(4);
  if (length > limit)
    throw new FrameError('too-large', `A frame of ${length} bytes is over the limit of ${limit}.`);
  if (kind !== jsonKind && kind !== bytesKind)
    throw new FrameError('unknown-kind', `A frame has the unknown kind ${kind}.`);
  const payload = readExactly(descriptor, length);
  if (payload.length < length) throw new FrameError('truncated', 'The stream ended inside a frame.');
  return { kind, payload };
}

/**
 * `length` bytes, or none at all if the stream ended before the first of them.
 *
 * @param {number} descriptor
 * @param {number} length
 */
function readExactly(descriptor, length) {
  const buffer = Buffer.alloc(length);
  let at = 0;
  while (at < length) {
    const count = readSync(descriptor, buffer, at, length - at, null);
    if (count === 0) break;
    at += count;
  }
  if (at > 0 && at < length) throw new FrameError('truncated', 'The stream ended inside a frame.');
  return buffer.subarray(0, at);
}

/**
 * Sends one control frame.
 *
 * @param {number} descriptor
 * @param {object} message
 */
export function writeMessage(descriptor, message) {
  const frame = encodeFrame(jsonKind, Buffer.from(encodeJson(message)));
  for (let at = 0; at < frame.length; ) at += writeSync(descriptor, frame, at);
}

/**
 * JSON in ASCII, as the vectors have it.
 *
 * @param {object} message
 */
export function encodeJson(message) {
  return JSON.stringify(message).replace(
    /[\u007f-\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/**
 * @param {number} kind
 * @param {Uint8Array} payload
 */
export function encodeFrame(kind, payload) {
  if (payload.length > maxFrameBytes)
    throw new FrameError('too-large', `A frame of ${payload.length} bytes is over the limit.`);
  const frame = Buffer.alloc(headerBytes + payload.length);
  frame.writeUInt32BE(payload.length, 0);
  frame.writeUInt8(kind, 4);
  frame.set(payload, headerBytes);
  return frame;
}

/**
 * The JSON object in the payload of a control frame.
 *
 * @param {Uint8Array} payload
 * @returns {Record<string, unknown>}
 */
export function decodeObject(payload) {
  const value = decodeJson(payload);
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  throw new FrameError('not-object', 'A control frame is not a JSON object.');
}

/**
 * @param {Uint8Array} payload
 * @returns {unknown}
 */
function decodeJson(payload) {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(payload));
  } catch {
    throw new FrameError('not-json', 'A control frame is not JSON.');
  }
}
