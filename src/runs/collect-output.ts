/**
 * What a program writes, captured: the first three quarters of what may be kept go to the journal as they come,
 * for live readers; the rest goes to a tail of which the end remains. At the end the cut and the tail are
 * appended, so that the journal is, at every moment, a beginning of what will be stored. Memory stays flat.
 */
import { createReadStream } from 'node:fs';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { encodeLogRecord, type LogRecord } from '../model/output-log.ts';
import type { StreamName } from '../model/program.ts';
import type { EngineLogger } from './engine-context.ts';
import { persist } from './persist.ts';
import { TailFile } from './tail-file.ts';
import { writeAt } from './write-at.ts';

export interface OutputCollectorOptions {
  /** Where the journal is written, in the format of model/output-log.ts. */
  readonly path: string;
  /** How many bytes of output are kept in all. */
  readonly keptBytes: number;
  /** The journal has grown. */
  readonly onGrown: () => void;
  readonly logger: EngineLogger;
}

/** How much of what is kept comes from the end. */
export function tailBytesOf(keptBytes: number): number {
  return Math.floor(keptBytes / 4);
}

export class OutputCollector implements AsyncDisposable {
  readonly #options: OutputCollectorOptions;
  readonly #dropped: Record<StreamName, number> = { stdout: 0, stderr: 0 };
  #headRoom: number;
  #journal: FileHandle | undefined;
  #sizeBytes = 0;
  #tail: TailFile | undefined;

  constructor(options: OutputCollectorOptions) {
    this.#options = options;
    this.#headRoom = options.keptBytes - tailBytesOf(options.keptBytes);
  }

  /**
   * Takes a piece of output. A full disk holds it, and so the program, until there is space or `signal` aborts
   * (the error of the disk is thrown then).
   */
  async write(stream: StreamName, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    const head = bytes.subarray(0, this.#headRoom);
    this.#headRoom -= head.length;
    if (head.length > 0) await this.#append({ kind: 'output', stream, bytes: head }, signal);
    const rest = bytes.subarray(head.length);
    if (rest.length > 0) await this.#appendToTail(stream, rest, signal);
  }

  /** Completes the journal: what was cut out, and the tail. Nothing may be written afterwards. */
  async end(signal: AbortSignal): Promise<void> {
    if (!this.#tail) return;
    for await (const record of this.#tail.read()) this.#dropped[record.stream] -= record.bytes.length;
    if (this.#dropped.stdout + this.#dropped.stderr > 0) {
      await this.#append({ kind: 'cut', dropped: { ...this.#dropped } }, signal);
    }
    for await (const record of this.#tail.read()) await this.#append(record, signal);
  }

  /** The journal from its beginning. */
  async *read(): AsyncGenerator<Uint8Array> {
    if (this.#sizeBytes > 0) yield* createReadStream(this.#options.path, { end: this.#sizeBytes - 1 });
  }

  /** Removes the journal, when its content is stored or of no use. */
  async remove(): Promise<void> {
    await rm(this.#options.path, { force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tail?.[Symbol.asyncDispose]();
    await this.#journal?.close();
  }

  async #append(record: LogRecord, signal: AbortSignal): Promise<void> {
    const encoded = encodeLogRecord(record);
    await this.#persist(signal, async () => {
      this.#journal ??= await open(this.#options.path, 'w', 0o600);
      await writeAt(this.#journal, encoded, this.#sizeBytes);
    });
    this.#sizeBytes += encoded.length;
    this.#options.onGrown();
  }

  async #appendToTail(stream: StreamName, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    await this.#persist(signal, async () => {
      this.#tail ??= await TailFile.create(this.#options.path, tailBytesOf(this.#options.keptBytes));
      await this.#tail.append(stream, bytes);
    });
    this.#dropped[stream] += bytes.length;
  }

  async #persist(signal: AbortSignal, work: () => Promise<void>): Promise<void> {
    const { logger } = this.#options;
    await persist(work, { logger, signal, what: 'The output of a program cannot be written' });
  }
}
