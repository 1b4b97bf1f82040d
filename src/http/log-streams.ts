/** A run's captured output in the forms that the API sends. */

import type { LogLine } from '../api/views.ts';
import type { LogRecord } from '../model/output-log.ts';
import type { StreamName } from '../model/program.ts';

/** How many bytes of what was asked for were not kept. */
export class DroppedBytes {
  total = 0;
}

/** Only what concerns one stream; all of it if none is named. */
export async function* onlyStream(
  records: AsyncIterable<LogRecord>,
  stream: StreamName | undefined,
): AsyncGenerator<LogRecord> {
  for await (const record of records) {
    if (stream === undefined) yield record;
    else if (record.kind === 'output' && record.stream === stream) yield record;
    else if (record.kind === 'cut' && record.dropped[stream] > 0) yield onlyDropped(record.dropped, stream);
  }
}

function onlyDropped(dropped: Readonly<Record<StreamName, number>>, stream: StreamName): LogRecord {
  return { kind: 'cut', dropped: { stdout: 0, stderr: 0, [stream]: dropped[stream] } };
}

/** The bytes as the program wrote them. */
export async function* outputOf(
  records: AsyncIterable<LogRecord>,
  dropped: DroppedBytes,
): AsyncGenerator<Uint8Array> {
  for await (const record of records) {
    if (record.kind === 'output') yield record.bytes;
    else dropped.total += record.dropped.stdout + record.dropped.stderr;
  }
}

/** One JSON object per line. */
export async function* linesOf(records: AsyncIterable<LogRecord>): AsyncGenerator<string> {
  for await (const record of records) yield `${JSON.stringify(toLogLine(record))}\n`;
}

/** A record as JSON: bytes in base64, because they need not be text. */
export function toLogLine(record: LogRecord): LogLine {
  if (record.kind === 'cut') return { type: 'cut', dropped: { ...record.dropped } };
  const base64 = Buffer.from(record.bytes).toString('base64');
  return { type: 'output', stream: record.stream, base64 };
}

/** How long a whole log is, in bytes. */
export async function measureLog(
  records: AsyncIterable<LogRecord>,
): Promise<{ readonly keptBytes: number; readonly droppedBytes: number }> {
  const dropped = new DroppedBytes();
  let keptBytes = 0;
  for await (const bytes of outputOf(records, dropped)) keptBytes += bytes.length;
  return { keptBytes, droppedBytes: dropped.total };
}
