/** The control plane's end of the worker thread: calls out, answers back, the end noticed. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { messageOf, SlipwayError } from '../../base/errors.ts';
import { type Answer, type Call, type FromWorker, fromPlainError, type WorkerOptions } from './protocol.ts';

interface PendingCall {
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

export class WorkerLink {
  readonly #worker: Worker;
  readonly #pending = new Map<number, PendingCall>();
  readonly #opened = Promise.withResolvers<void>();
  readonly #exited: Promise<unknown>;
  #nextId = 1;
  #ending = false;
  #ended = false;
  #cause: unknown;

  private constructor(options: WorkerOptions) {
    this.#worker = new Worker(new URL('./worker.ts', import.meta.url), {
      workerData: options,
      name: 'store',
    });
    this.#exited = once(this.#worker, 'exit').catch(() => undefined);
    this.#worker.on('message', (message: FromWorker) => this.#receive(message));
    this.#worker.on('error', (cause) => {
      this.#cause = cause;
    });
    this.#worker.on('exit', () => this.#end());
  }

  /** Starts a worker and waits until its database is open. @throws SlipwayError `store-…` */
  static async open(options: WorkerOptions): Promise<WorkerLink> {
    const link = new WorkerLink(options);
    try {
      await link.#opened.promise;
      return link;
    } catch (error) {
      await link.#exited;
      throw error;
    }
  }

  /** Whether the worker is gone or about to go; a new link is needed then. */
  get ended(): boolean {
    return this.#ended || this.#ending;
  }

  /** @throws SlipwayError of the operation, or `store-unavailable` if the worker ends before it answers */
  async call(call: Omit<Call, 'id'>): Promise<unknown> {
    if (this.#ended) throw this.#unavailable();
    const id = this.#nextId++;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#pending.set(id, { resolve, reject });
    this.#worker.postMessage({ type: 'call', call: { ...call, id } });
    return await promise;
  }

  /** Lets the worker finish everything asked so far, and waits until it has ended. */
  async close(): Promise<void> {
    if (!this.#ended) this.#worker.postMessage({ type: 'close' });
    await this.#exited;
  }

  #receive(message: FromWorker): void {
    switch (message.type) {
      case 'opened':
        this.#opened.resolve();
        break;
      case 'failed':
        this.#opened.reject(fromPlainError(message.error));
        break;
      case 'ending':
        this.#ending = true;
        break;
      case 'answers':
        for (const answer of message.answers) this.#settle(answer);
        break;
      default:
        message satisfies never;
    }
  }

  #settle(answer: Answer): void {
    const pending = this.#pending.get(answer.id);
    this.#pending.delete(answer.id);
    if (answer.ok) pending?.resolve(answer.value);
    else pending?.reject(fromPlainError(answer.error));
  }

  #end(): void {
    this.#ended = true;
    this.#opened.reject(this.#unavailable());
    for (const pending of this.#pending.values()) pending.reject(this.#unavailable());
    this.#pending.clear();
  }

  #unavailable(): SlipwayError {
    const why = this.#cause === undefined ? 'its thread ended' : messageOf(this.#cause);
    return new SlipwayError(
      'unavailable',
      'store-unavailable',
      `The store stopped (${why}) and starts again; whether the last write is stored is not known. Try again.`,
      { cause: this.#cause },
    );
  }
}
