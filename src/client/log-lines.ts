/** The lines of `application/x-ndjson` logs as records. */
import type { LogLine } from '../api/views.ts';
import { logLineSchema } from '../api/views.ts';
import type { LogRecord } from '../model/output-log.ts';
import { badReply } from './transport.ts';

/** A line holds at most one piece of output in base64. */
const maxLineBytes = 128 * 1024 * 1024;

/** @throws SlipwayError `bad-reply` on what is no line of a log, or when the reply breaks off */
export async function* readLogLines(reply: AsyncIterable<Uint8Array>): AsyncGenerator<LogRecord> {
  let pieces: Buffer[] = [];
  let held = 0;
  for await (const chunk of reply) {
    let rest = Buffer.from(chunk);
    for (let end = rest.indexOf(0x0a); end >= 0; end = rest.indexOf(0x0a)) {
      yield parseLine(Buffer.concat([...pieces, rest.subarray(0, end)]).toString());
      pieces = [];
      held = 0;
      rest = rest.subarray(end + 1);
    }
    pieces.push(rest);
    held += rest.length;
    if (held > maxLineBytes) throw badReply('a line of the log is too long');
  }
  if (held > 0) throw badReply('the log breaks off inside a line');
}

function parseLine(text: string): LogRecord {
  try {
    return toLogRecord(logLineSchema.parse(JSON.parse(text)));
  } catch (cause) {
    throw badReply('a line of the log has an unexpected shape', cause);
  }
}

export function toLogRecord(line: LogLine): LogRecord {
  if (line.type === 'cut') return { kind: 'cut', dropped: line.dropped };
  return { kind: 'output', stream: line.stream, bytes: Buffer.from(line.base64, 'base64') };
}
