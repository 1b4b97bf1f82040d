/**
 * The captured output of a run as one blob: records of `u8 stream | u32 big-endian length | bytes`, in order of
 * arrival. Streams: 1 stdout (all of `merged`), 2 stderr, 255 a cut (payload: JSON {stdout, stderr}: bytes that
 * were dropped at this place). Byte-exact; decoding for people is the reader's business.
 */
import { SlipwayError } from '../base/errors.ts';
import type { StreamName } from './program.ts';

export type LogRecord =
  | { readonly kind: 'output'; readonly stream: StreamName; readonly bytes: Uint8Array }
  | { readonly kind: 'cut'; readonly dropped: Readonly<Record<StreamName, number>> };

const codes = { stdout: 1, stderr: 2 } as const;
const cutCode = 255;
const headerBytes = 5;
const maxRecordBytes = 64 * 1024 * 1024;

export function encodeLogRecord(record: LogRecord): Buffer {
  if (record.kind === 'output') return encode(codes[record.stream], record.bytes);
  return encode(cutCode, Buffer.from(JSON.stringify(record.dropped)));
}

function encode(code: number, payload: Uint8Array): Buffer {
  const record = Buffer.allocUnsafe(headerBytes + payload.length);
  record.writeUInt8(code, 0);
  record.writeUInt32BE(payload.length, 1);
  record.set(payload, headerBytes);
  return record;
}

/** A record, and how many bytes of the log it takes. */
export interface SizedRecord {
  readonly record: LogRecord;
  readonly sizeBytes: number;
}

/** Reads records back. An unfinished record at the end (a log still being written) is left out. */
export async function* readLogRecords(source: AsyncIterable<Uint8Array>): AsyncGenerator<LogRecord> {
  for await (const { record } of readSizedRecords(source)) yield record;
}

/** `readLogRecords`, for those who will go on reading where a record ended. */
export async function* readSizedRecords(source: AsyncIterable<Uint8Array>): AsyncGenerator<SizedRecord> {
  let buffer = Buffer.alloc(0);
  for await (const chunk of source) {
    buffer = buffer.length === 0 ? Buffer.from(chunk) : Buffer.concat([buffer, chunk]);
    for (;;) {
      const size = recordSize(buffer);
      if (size === undefined || buffer.length < size) break;
      yield { record: decode(buffer.readUInt8(0), buffer.subarray(headerBytes, size)), sizeBytes: size };
      buffer = buffer.subarray(size);
    }
  }
}

function recordSize(buffer: Buffer): number | undefined {
  if (buffer.length < headerBytes) return undefined;
  const length = buffer.readUInt32BE(1);
  if (length > maxRecordBytes) throw corrupted(`a record claims ${length} bytes`);
  return headerBytes + length;
}

function decode(code: number, payload: Buffer): LogRecord {
  if (code === codes.stdout) return { kind: 'output', stream: 'stdout', bytes: payload };
  if (code === codes.stderr) return { kind: 'output', stream: 'stderr', bytes: payload };
  if (code === cutCode) return { kind: 'cut', dropped: parseDropped(payload) };
  throw corrupted(`a record has the unknown kind ${code}`);
}

function parseDropped(payload: Buffer): Readonly<Record<StreamName, number>> {
  const value = parseJson(payload);
  if (typeof value === 'object' && value !== null && 'stdout' in value && 'stderr' in value) {
    if (typeof value.stdout === 'number' && typeof value.stderr === 'number') {
      return { stdout: value.stdout, stderr: value.stderr };
    }
  }
  throw corrupted('a cut record is not understood');
}

function parseJson(payload: Buffer): unknown {
  try {
    return JSON.parse(payload.toString());
  } catch {
    return undefined;
  }
}

function corrupted(what: string): SlipwayError {
  return new SlipwayError('corrupted', 'log-corrupted', `The captured output cannot be read: ${what}.`);
}
