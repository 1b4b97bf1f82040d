/** The events of a `text/event-stream` (HTML standard, section 9.2.6), of any server that keeps to it. */
import { badReply } from './transport.ts';

export interface StreamEvent {
  /** The id of the newest event that had one; empty if none had. */
  readonly id: string;
  readonly event: string;
  readonly data: string;
}

/** An event of ours holds at most one record of output in base64. */
const maxEventBytes = 128 * 1024 * 1024;

/** Comments and an unfinished event at the end are left out. @throws SlipwayError `bad-reply` on an endless line */
export async function* readEventStream(reply: AsyncIterable<Uint8Array>): AsyncGenerator<StreamEvent> {
  let id = '';
  let event = '';
  let data: string[] = [];
  for await (const line of readLines(reply)) {
    if (line === '') {
      if (data.length > 0) yield { id, event: event || 'message', data: data.join('\n') };
      event = '';
      data = [];
      continue;
    }
    const [field, value] = splitField(line);
    if (field === 'id' && !value.includes('\0')) id = value;
    if (field === 'event') event = value;
    if (field === 'data') data.push(value);
  }
}

function splitField(line: string): readonly [field: string, value: string] {
  const at = line.indexOf(':');
  if (at < 0) return [line, ''];
  return [line.slice(0, at), line.slice(line.charAt(at + 1) === ' ' ? at + 2 : at + 1)];
}

/** Lines end with LF, CR LF or CR; a CR at the end of a chunk may be half of a CR LF. */
async function* readLines(reply: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder(); // drops a byte order mark at the beginning
  let held: string[] = [];
  let heldLength = 0;
  let endedWithCr = false;
  for await (const chunk of reply) {
    let text = decoder.decode(chunk, { stream: true });
    if (endedWithCr && text.startsWith('\n')) text = text.slice(1);
    if (text === '') continue;
    endedWithCr = text.endsWith('\r');
    const lines = text.split(/\r\n|\r|\n/);
    const rest = lines.pop() ?? '';
    for (const line of lines) {
      yield [...held, line].join('');
      held = [];
      heldLength = 0;
    }
    held.push(rest);
    heldLength += rest.length;
    if (heldLength > maxEventBytes) throw badReply('a line of the events is too long');
  }
}
