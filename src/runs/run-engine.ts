/**
 * The engine of runs: accepts them, executes them through a starter, keeps what came out. Durable state is the
 * store's alone; an engine that dies leaves nothing that the next one cannot put right (recover.ts). One run's
 * life is in execute.ts. Not here: who may ask (http/), what a sandbox is (starter/).
 */
import type { Clock } from '../base/clock.ts';
import { SlipwayError } from '../base/errors.ts';
import { randomText } from '../base/ids.ts';
import type { LogRecord } from '../model/output-log.ts';
import type { Run, RunId } from '../model/run.ts';
import type { Starter } from '../starter/starter.ts';
import type { Blobs } from '../store/blobs.ts';
import type { RunPage, RunQuery, Store } from '../store/store.ts';
import { cancelRun } from './cancel.ts';
import { dispatch } from './dispatch.ts';
import {
  defaultTimes,
  type EngineContext,
  type EngineLogger,
  type RunEngineConfig,
} from './engine-context.ts';
import { type FollowOptions, followRun, type RunUpdate } from './follow-run.ts';
import { keepLeases } from './keep-leases.ts';
import { type ReadLogOptions, readLog } from './read-log.ts';
import { recover } from './recover.ts';
import { RunWatch } from './run-watch.ts';
import { StarterHealth } from './starter-health.ts';
import { type Submission, submitRun } from './submit.ts';
import { waitForRun } from './wait-for-run.ts';
import { Wake } from './wake.ts';

export interface RunEngine {
  /** Accepts a run; when it resolves, the run is durable. The errors are in submit.ts. */
  submit(submission: Submission): Promise<Run>;
  get(id: RunId): Promise<Run | undefined>;
  /** Newest first. */
  list(query: RunQuery): Promise<RunPage>;
  /** Asks for the end of a run, waiting or running; it may still finish by itself first. */
  cancel(id: RunId, reason: string): Promise<Run>;
  /** The finished run, or the run as it is when `signal` aborts. */
  waitFor(id: RunId, signal: AbortSignal): Promise<Run>;
  /** The captured output from its beginning; with `follow` it goes on until the run has finished. */
  readLog(id: RunId, options: ReadLogOptions): AsyncIterable<LogRecord>;
  /** State and output as they change, from a place on, until the run has finished (follow-run.ts). */
  follow(id: RunId, options: FollowOptions): AsyncIterable<RunUpdate>;
  /** Recovers what an earlier engine left, then begins to execute. */
  start(): Promise<void>;
  /**
   * Stops within `graceMs`: claims nothing more, puts back what has not begun, lets programs end for half that
   * time, then cancels them. What is left after that is `lost`. The store may be closed afterwards.
   */
  stop(graceMs: number): Promise<void>;
}

export interface RunEngineOptions {
  readonly store: Store;
  readonly blobs: Blobs;
  readonly starter: Starter;
  readonly clock: Clock;
  readonly logger?: EngineLogger;
  readonly config: RunEngineConfig;
}

const silentLogger: EngineLogger = { info: () => undefined, warn: () => undefined, error: () => undefined };

export function createRunEngine(options: RunEngineOptions): RunEngine {
  return new Engine(options);
}

class Engine implements RunEngine {
  readonly #context: EngineContext;
  readonly #stopping = new AbortController();
  readonly #ending = new AbortController();
  readonly #halt = new AbortController();
  #dispatching: Promise<void> | undefined;
  #keeping: Promise<void> | undefined;

  constructor({ logger = silentLogger, ...options }: RunEngineOptions) {
    const config = { ...defaultTimes, ...options.config };
    this.#context = {
      ...options,
      logger,
      config: { ...config, holder: `${config.holder}-${randomText(8)}` },
      active: new Map(),
      watch: new RunWatch(),
      starterHealth: new StarterHealth(),
      work: new Wake(),
      halt: this.#halt.signal,
    };
  }

  async submit(submission: Submission): Promise<Run> {
    if (this.#stopping.signal.aborted) {
      const message = 'The service is stopping and accepts no more runs. Submit it again when it is back.';
      throw new SlipwayError('unavailable', 'engine-stopping', message);
    }
    return await submitRun(this.#context, submission);
  }

  get(id: RunId): Promise<Run | undefined> {
    return this.#context.store.getRun(id);
  }

  list(query: RunQuery): Promise<RunPage> {
    return this.#context.store.listRuns(query);
  }

  cancel(id: RunId, reason: string): Promise<Run> {
    return cancelRun(this.#context, id, reason);
  }

  waitFor(id: RunId, signal: AbortSignal): Promise<Run> {
    return waitForRun(this.#context, id, signal);
  }

  readLog(id: RunId, options: ReadLogOptions): AsyncIterable<LogRecord> {
    return readLog(this.#context, id, options);
  }

  follow(id: RunId, options: FollowOptions): AsyncIterable<RunUpdate> {
    return followRun(this.#context, id, options);
  }

  async start(): Promise<void> {
    await recover(this.#context);
    this.#dispatching = dispatch(this.#context, this.#stopping.signal);
    this.#keeping = keepLeases(this.#context, this.#ending.signal);
  }

  async stop(graceMs: number): Promise<void> {
    const { active, config } = this.#context;
    this.#stopping.abort();
    for (const run of active.values()) run.requeue();
    await this.#dispatching;
    await this.#idleWithin(graceMs / 2);
    const reason = 'The service is stopping.';
    for (const run of active.values()) run.cancel(reason, Math.min(config.cancelGraceMs, graceMs / 8));
    await this.#idleWithin(graceMs / 4);
    const lost = new SlipwayError('cancelled', 'engine-stopping', 'The service stopped while it ran.');
    for (const run of active.values()) run.end(lost);
    await this.#idleWithin(graceMs / 4);
    this.#halt.abort();
    await this.#idleWithin(graceMs / 4);
    this.#ending.abort();
    await this.#keeping;
    if (active.size > 0) this.#logLeft();
  }

  /** Resolves when nothing is executed any more, at the latest after `ms`. */
  async #idleWithin(ms: number): Promise<void> {
    const { active, work } = this.#context;
    const deadline = AbortSignal.timeout(Math.ceil(ms));
    while (active.size > 0 && !deadline.aborted) await work.wait(ms, deadline);
  }

  #logLeft(): void {
    const runs = [...this.#context.active.keys()];
    this.#context.logger.error({ runs }, 'these runs are still executed; the next engine recovers them');
  }
}
