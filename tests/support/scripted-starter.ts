/**
 * A Starter that does what a test scripts: well-behaved by default, or misbehaving in any way that the port
 * cannot exclude. A double of the port, for tests of the engine; the real starters have suites of their own.
 */
import { SlipwayError } from '../../src/base/errors.ts';
import type { Image } from '../../src/model/image.ts';
import type { Outcome, RunId } from '../../src/model/run.ts';
import type { Usage } from '../../src/model/usage.ts';
import type { Probe } from '../../src/runtime/driver.ts';
import type {
  Execution,
  ExecutionEvent,
  ExecutionFeed,
  ExecutionOrder,
  Starter,
} from '../../src/starter/starter.ts';

/** The starter's end of one execution. */
export interface ScriptedExecution {
  readonly order: ExecutionOrder;
  readonly feed: ExecutionFeed;
  readonly signal: AbortSignal;
  /** Resolves after `go`; rejects when the execution is aborted. */
  readonly permission: Promise<void>;
  /** Resolves with the reason of a cancellation; rejects when the execution is aborted. */
  readonly cancelled: Promise<string>;
}

export type Script = (execution: ScriptedExecution) => AsyncIterable<ExecutionEvent>;

export const sampleUsage: Usage = {
  wallMs: 10,
  cpuMs: 5,
  cpuUserMs: null,
  cpuSystemMs: null,
  memoryPeakBytes: 1000,
  pidsPeak: 1,
  readBytes: null,
  writtenBytes: null,
  oomKills: 0,
};

export class ScriptedStarter implements Starter {
  /** What the next executions do. */
  script: Script;
  /** The runs whose programs were let go, in that order. */
  readonly begun: RunId[] = [];
  /** The runs that were asked for, in that order. */
  readonly asked: RunId[] = [];
  /** Executions that have not ended. */
  current = 0;
  /** The most of them at one moment. */
  peak = 0;

  constructor(script: Script = () => wellBehaved()) {
    this.script = script;
  }

  execute(order: ExecutionOrder, feed: ExecutionFeed, signal: AbortSignal): Execution {
    this.asked.push(order.run);
    const permission = Promise.withResolvers<void>();
    const cancelled = Promise.withResolvers<string>();
    for (const { promise, reject } of [permission, cancelled]) {
      promise.catch(() => undefined);
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    }
    const execution = {
      order,
      feed,
      signal,
      permission: permission.promise,
      cancelled: cancelled.promise,
    };
    return {
      events: this.#count(this.script(execution)),
      go: () => {
        this.begun.push(order.run);
        permission.resolve();
      },
      cancel: (reason) => cancelled.resolve(reason),
    };
  }

  async *#count(events: AsyncIterable<ExecutionEvent>): AsyncGenerator<ExecutionEvent> {
    this.current++;
    this.peak = Math.max(this.peak, this.current);
    try {
      yield* events;
    } finally {
      this.current--;
    }
  }

  async probe(): Promise<Probe> {
    throw new Error('not scripted');
  }

  async listImages(): Promise<readonly Image[]> {
    return [];
  }

  async resolveImage(reference: string): Promise<Image> {
    throw new SlipwayError('not-found', 'image-not-found', `There is no image ${reference}.`);
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

export const prepared: ExecutionEvent = { type: 'prepared', sandbox: 'sw-test' };
export const started: ExecutionEvent = { type: 'started' };

export function output(text: string | Uint8Array, stream: 'stdout' | 'stderr' = 'stdout'): ExecutionEvent {
  return { type: 'output', stream, bytes: Buffer.from(text) };
}

export function exited(outcome: Outcome = { kind: 'succeeded' }): ExecutionEvent {
  return { type: 'exited', outcome, usage: sampleUsage };
}

export function file(path: string, content: string | Uint8Array): ExecutionEvent {
  const bytes = Buffer.from(content);
  return { type: 'file', path, sizeBytes: bytes.length, content: oneChunk(bytes) };
}

/** All events of a program that writes this and ends so. */
export async function* wellBehaved(...events: readonly ExecutionEvent[]): AsyncGenerator<ExecutionEvent> {
  yield prepared;
  yield started;
  yield* events;
  if (!events.some((event) => event.type === 'exited')) yield exited();
}

/** A program that runs until it is cancelled. */
export async function* untilCancelled({
  permission,
  cancelled,
}: ScriptedExecution): AsyncGenerator<ExecutionEvent> {
  yield prepared;
  await permission;
  yield started;
  yield exited({ kind: 'cancelled', reason: await cancelled });
}

/** Never, unless the execution is aborted. */
export function forever({ signal }: ScriptedExecution): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  return promise;
}

export function starterGone(): SlipwayError {
  return new SlipwayError('unavailable', 'starter-unavailable', 'The starter cannot be reached.');
}

async function* oneChunk(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
