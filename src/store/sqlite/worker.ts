/** The thread that owns the database connection: SQLite blocks, and the control plane must not. */
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { GroupCommit } from './group-commit.ts';
import { type OpenDatabase, openDatabase } from './open-database.ts';
import {
  type Answer,
  type Call,
  type FromWorker,
  type ToWorker,
  toPlainError,
  type WorkerOptions,
} from './protocol.ts';

class StoreWorker {
  readonly #port: MessagePort;
  readonly #database: OpenDatabase;
  readonly #commit: GroupCommit;
  #inbox: ToWorker[] = [];
  #closing = false;
  #busy = false;

  constructor(port: MessagePort, database: OpenDatabase, lockDeadlineMs: number) {
    this.#port = port;
    this.#database = database;
    this.#commit = new GroupCommit({
      database,
      lockDeadlineMs,
      arrived: () => this.#takeCalls(),
      answer: (answers) => this.#answer(answers),
    });
  }

  /** Serves until it is told to close. */
  listen(): void {
    this.#port.on('message', (message: ToWorker) => {
      this.#inbox.push(message);
      void this.#serve();
    });
    post(this.#port, { type: 'opened' });
  }

  async #serve(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    await this.#commit.drain();
    this.#busy = false;
    if (this.#closing || this.#commit.needsReopen) this.#close();
  }

  /** All calls that are there now, also those that the event loop has not delivered yet. */
  #takeCalls(): readonly Call[] {
    const messages = this.#inbox;
    this.#inbox = [];
    for (;;) {
      const received: { message: ToWorker } | undefined = receiveMessageOnPort(this.#port);
      if (!received) break;
      messages.push(received.message);
    }
    if (messages.some((message) => message.type === 'close')) this.#closing = true;
    return messages.flatMap((message) => (message.type === 'call' ? [message.call] : []));
  }

  #answer(answers: readonly Answer[]): void {
    if (this.#commit.needsReopen) post(this.#port, { type: 'ending' });
    if (answers.length > 0) post(this.#port, { type: 'answers', answers });
  }

  #close(): void {
    this.#database.raw.close();
    this.#port.close();
  }
}

function post(port: MessagePort, message: FromWorker): void {
  port.postMessage(message);
}

async function main(port: MessagePort): Promise<void> {
  const options: WorkerOptions = workerData;
  try {
    new StoreWorker(port, await openDatabase(options), options.lockDeadlineMs).listen();
  } catch (error) {
    post(port, { type: 'failed', error: toPlainError(error) });
    port.close();
  }
}

if (parentPort) await main(parentPort);
