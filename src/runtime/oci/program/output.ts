/**
 * What a sandbox writes to stdout and stderr, handed to one reader at the reader's pace: what waits here is
 * bounded, then the runtime's pipes fill and the program blocks. Once everything inside is dead, the little that
 * is left in the pipes is taken in, so that the runtime can end even if nobody reads.
 */
import type { Readable } from 'node:stream';
import { SlipwayError } from '../../../base/errors.ts';
import type { StreamName } from '../../../model/program.ts';
import type { LogChunk } from '../../driver.ts';

const maxWaitingBytes = 128 * 1024;

export class Output {
  readonly #sources: { readonly name: StreamName; readonly stream: Readable }[] = [];
  readonly #waiting: LogChunk[] = [];
  #waitingBytes = 0;
  #mode: 'paced' | 'absorb' | 'discard' = 'paced';
  #complete = false;
  #taken = false;
  #wake: () => void = () => undefined;

  /** Whether a stream has more than may wait here. */
  get stalled(): boolean {
    return this.#mode === 'paced' && this.#waitingBytes >= maxWaitingBytes;
  }

  /** Begins to take from a stream of the runtime's process. */
  add(name: StreamName, stream: Readable): void {
    this.#sources.push({ name, stream });
    stream.on('readable', () => this.#fill());
    stream.on('end', () => this.#wake());
    // A killed runtime resets its streams: how it ended is reported elsewhere.
    stream.on('error', () => undefined);
    stream.on('close', () => this.#wake());
    this.#fill();
  }

  /** Everything inside is dead: takes in what the pipes still hold. */
  absorb(): void {
    if (this.#mode === 'paced') this.#mode = 'absorb';
    this.#fill();
  }

  /** Nobody wants the rest. */
  discard(): void {
    this.#mode = 'discard';
    this.#waiting.length = 0;
    this.#waitingBytes = 0;
    this.#fill();
  }

  /** No more streams will be added; the output ends with theirs. */
  complete(): void {
    this.#complete = true;
    this.#fill();
    this.#wake();
  }

  /** A line of the driver's own, in place of a program that could not be executed. */
  say(stream: StreamName, text: string): void {
    this.#keep({ stream, bytes: Buffer.from(text) });
  }

  /** @throws SlipwayError `logs-taken` for a second reader; the signal's reason when it aborts */
  async *read(signal: AbortSignal): AsyncGenerator<LogChunk, void, undefined> {
    if (this.#taken) throw logsTaken();
    this.#taken = true;
    const onAbort = () => this.#wake();
    signal.addEventListener('abort', onAbort);
    try {
      for (;;) {
        signal.throwIfAborted();
        const chunk = this.#next();
        if (chunk !== undefined) yield chunk;
        else if (this.#isOver()) return;
        else await this.#change();
      }
    } finally {
      signal.removeEventListener('abort', onAbort);
      this.discard();
    }
  }

  #next(): LogChunk | undefined {
    if (this.#waiting.length === 0) this.#fill();
    const chunk = this.#waiting.shift();
    this.#waitingBytes -= chunk?.bytes.length ?? 0;
    return chunk;
  }

  #isOver(): boolean {
    return this.#complete && this.#sources.every(({ stream }) => stream.readableEnded || stream.destroyed);
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #fill(): void {
    for (const { name, stream } of this.#sources) {
      while (this.#mode !== 'paced' || this.#waitingBytes < maxWaitingBytes) {
        const bytes: unknown = stream.read();
        if (!(bytes instanceof Uint8Array)) break;
        this.#keep({ stream: name, bytes });
      }
    }
  }

  #keep(chunk: LogChunk): void {
    if (this.#mode === 'discard') return;
    this.#waiting.push(chunk);
    this.#waitingBytes += chunk.bytes.length;
    this.#wake();
  }
}

function logsTaken(): SlipwayError {
  return new SlipwayError('conflict', 'logs-taken', 'The output of a sandbox can be read only once.');
}
