/** The end of a captured output as text, and how much there was, built record by record in bounded memory. */
import type { LogRecord } from './output-log.ts';
import type { StreamName } from './program.ts';

export interface OutputPreview {
  /** The end of each stream as text; invalid UTF-8 is shown as U+FFFD. */
  readonly stdout: string;
  readonly stderr: string;
  /** What the program wrote, in bytes, dropped parts included. */
  readonly stdoutBytes: number;
  readonly stderrBytes: number;
  /** Whether a text lacks something that the program wrote. */
  readonly truncated: boolean;
}

/** Keeps the last `keptBytes` of each stream. */
export class PreviewBuilder {
  readonly #streams: Readonly<Record<StreamName, StreamTail>>;

  constructor(keptBytes: number) {
    this.#streams = { stdout: new StreamTail(keptBytes), stderr: new StreamTail(keptBytes) };
  }

  add(record: LogRecord): void {
    if (record.kind === 'output') {
      this.#streams[record.stream].add(record.bytes);
      return;
    }
    this.#streams.stdout.drop(record.dropped.stdout);
    this.#streams.stderr.drop(record.dropped.stderr);
  }

  build(): OutputPreview {
    const { stdout, stderr } = this.#streams;
    return {
      stdout: stdout.text(),
      stderr: stderr.text(),
      stdoutBytes: stdout.totalBytes,
      stderrBytes: stderr.totalBytes,
      truncated: stdout.truncated || stderr.truncated,
    };
  }
}

class StreamTail {
  totalBytes = 0;
  truncated = false;
  #chunks: Uint8Array[] = [];
  #heldBytes = 0;
  readonly #keptBytes: number;

  constructor(keptBytes: number) {
    this.#keptBytes = keptBytes;
  }

  add(bytes: Uint8Array): void {
    this.totalBytes += bytes.length;
    this.#chunks.push(bytes);
    this.#heldBytes += bytes.length;
    if (this.#heldBytes > 2 * this.#keptBytes) this.#compact();
  }

  /** What lies before a cut is not the end any more. */
  drop(bytes: number): void {
    if (bytes === 0) return;
    this.totalBytes += bytes;
    this.truncated = true;
    this.#chunks = [];
    this.#heldBytes = 0;
  }

  text(): string {
    this.#compact();
    return new TextDecoder().decode(skipPartialCharacter(Buffer.concat(this.#chunks), this.truncated));
  }

  #compact(): void {
    if (this.#heldBytes <= this.#keptBytes) return;
    const tail = Buffer.concat(this.#chunks).subarray(-this.#keptBytes);
    this.#chunks = [Buffer.from(tail)];
    this.#heldBytes = tail.length;
    this.truncated = true;
  }
}

/** A cut may fall inside a character: its continuation bytes (10xxxxxx) at the front are left out. */
function skipPartialCharacter(bytes: Buffer, wasCut: boolean): Buffer {
  let start = 0;
  while (wasCut && start < 3 && ((bytes[start] ?? 0) & 0xc0) === 0x80) start++;
  return bytes.subarray(start);
}
