/** The files that come out of a sandbox: hostile names and sizes, checked and stored as blobs. */
import { isSlipwayError, messageOf } from '../base/errors.ts';
import type { Limits } from '../model/limits.ts';
import { parseRelativePath } from '../model/paths.ts';
import type { OutputFile, SkippedFile } from '../model/run.ts';
import type { ExecutionEvent } from '../starter/starter.ts';
import type { Blobs } from '../store/blobs.ts';

type FileEvent = Extract<ExecutionEvent, { type: 'file' }>;

/** Notes beyond this many are not kept; a hostile program could make millions of them. */
const maxSkipped = 1000;

export class FileCollector {
  readonly files: OutputFile[] = [];
  readonly skipped: SkippedFile[] = [];
  readonly #blobs: Blobs;
  readonly #limits: Pick<Limits, 'resultFiles' | 'resultBytes'>;
  readonly #paths = new Set<string>();
  #roomBytes: number;
  #failure: string | undefined;

  constructor(blobs: Blobs, limits: Pick<Limits, 'resultFiles' | 'resultBytes'>) {
    this.#blobs = blobs;
    this.#limits = limits;
    this.#roomBytes = limits.resultBytes;
  }

  /** Why files are missing that should be there: our disk, not the program's doing. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** Stores a file, or notes why not. Throws only if its content cannot be read to the end. */
  async take(event: FileEvent): Promise<void> {
    const content = event.content[Symbol.asyncIterator]();
    const objection = this.#objectionTo(event);
    if (objection === undefined) await this.#store(event.path, content);
    else this.skip(event.path, objection);
    await drain(content);
  }

  skip(path: string, reason: string): void {
    if (this.skipped.length < maxSkipped) this.skipped.push({ path, reason });
  }

  #objectionTo({ path, sizeBytes }: FileEvent): string | undefined {
    if (this.files.length >= this.#limits.resultFiles) {
      return `there are more than ${this.#limits.resultFiles} files`;
    }
    if (sizeBytes > this.#roomBytes) return `the files have more than ${this.#limits.resultBytes} bytes`;
    if (this.#paths.has(path)) return 'the path was there before';
    try {
      parseRelativePath(path, 'result file');
      return undefined;
    } catch (error) {
      return messageOf(error);
    }
  }

  async #store(path: string, content: AsyncIterator<Uint8Array>): Promise<void> {
    try {
      const stored = await this.#blobs.put(keepOpen(content), { maxBytes: this.#roomBytes });
      this.files.push({ path, ...stored });
      this.#paths.add(path);
      this.#roomBytes -= stored.sizeBytes;
    } catch (error) {
      if (isSlipwayError(error, 'blob-too-large')) {
        this.skip(path, `the files have more than ${this.#limits.resultBytes} bytes`);
        return;
      }
      if (!isSlipwayError(error) || !error.code.startsWith('blobs-')) throw error;
      this.#failure ??= error.message;
      this.skip(path, error.message);
    }
  }
}

/** The rest of a content can still be read after a reader of this has left early. */
async function* keepOpen(content: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  for (;;) {
    const next = await content.next();
    if (next.done) return;
    yield next.value;
  }
}

/** The next event may be asked for only when the content was read. */
async function drain(content: AsyncIterator<Uint8Array>): Promise<void> {
  while (!(await content.next()).done);
}
