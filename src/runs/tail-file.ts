/**
 * The last bytes of an output of any length, on disk: two files that take turns, so that memory stays flat and
 * the disk holds at most about twice the tail. They have no name (unlinked at once): a crash leaves nothing.
 */
import { type FileHandle, open, rm } from 'node:fs/promises';
import { encodeLogRecord, type LogRecord, readLogRecords } from '../model/output-log.ts';
import type { StreamName } from '../model/program.ts';
import { writeAt } from './write-at.ts';

type Output = Extract<LogRecord, { kind: 'output' }>;

interface Segment {
  readonly file: FileHandle;
  /** Of the records, headers included. */
  sizeBytes: number;
  /** Of the output in them. */
  outputBytes: number;
}

export class TailFile implements AsyncDisposable {
  readonly #limitBytes: number;
  #older: Segment;
  #newer: Segment;

  private constructor(limitBytes: number, segments: readonly [Segment, Segment]) {
    this.#limitBytes = limitBytes;
    [this.#older, this.#newer] = segments;
  }

  /** @param path where the files are made and unlinked */
  static async create(path: string, limitBytes: number): Promise<TailFile> {
    return new TailFile(limitBytes, [await createSegment(`${path}.a`), await createSegment(`${path}.b`)]);
  }

  /** Repeating it after a failure appends once. */
  async append(stream: StreamName, bytes: Uint8Array): Promise<void> {
    if (this.#newer.outputBytes >= this.#limitBytes) await this.#turn();
    const segment = this.#newer;
    const record = encodeLogRecord({ kind: 'output', stream, bytes });
    await writeAt(segment.file, record, segment.sizeBytes);
    segment.sizeBytes += record.length;
    segment.outputBytes += bytes.length;
  }

  /** What was appended, without all but the last `limitBytes`. */
  async *read(): AsyncGenerator<Output> {
    let skip = Math.max(0, this.#older.outputBytes + this.#newer.outputBytes - this.#limitBytes);
    for (const segment of [this.#older, this.#newer]) {
      if (segment.sizeBytes === 0) continue;
      const content = segment.file.createReadStream({
        start: 0,
        end: segment.sizeBytes - 1,
        autoClose: false,
      });
      for await (const record of readLogRecords(content)) {
        if (record.kind !== 'output') continue;
        if (record.bytes.length > skip) yield { ...record, bytes: record.bytes.subarray(skip) };
        skip = Math.max(0, skip - record.bytes.length);
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#older.file.close();
    await this.#newer.file.close();
  }

  /** The newer segment holds a whole tail, so the older one is no longer needed. */
  async #turn(): Promise<void> {
    const free = this.#older;
    await free.file.truncate(0);
    this.#older = this.#newer;
    this.#newer = { file: free.file, sizeBytes: 0, outputBytes: 0 };
  }
}

async function createSegment(path: string): Promise<Segment> {
  const file = await open(path, 'w+', 0o600);
  await rm(path);
  return { file, sizeBytes: 0, outputBytes: 0 };
}
