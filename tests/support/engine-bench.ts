/** An engine over a real store and real blobs in a temporary directory, and a scripted starter. */
import { join } from 'node:path';
import { readBytes } from '../../src/base/bytes.ts';
import { type Clock, systemClock } from '../../src/base/clock.ts';
import type { LogRecord } from '../../src/model/output-log.ts';
import type { Outcome, Run, RunId, RunOrder, RunResult } from '../../src/model/run.ts';
import { isFinished } from '../../src/model/run.ts';
import type { EngineLogger, RunEngineConfig } from '../../src/runs/engine-context.ts';
import { createRunEngine, type RunEngine } from '../../src/runs/run-engine.ts';
import type { Blobs } from '../../src/store/blobs.ts';
import { createLocalBlobs } from '../../src/store/local-blobs.ts';
import { createSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import type { Store } from '../../src/store/store.ts';
import { sampleOrder, samplePrincipal } from './samples.ts';
import { ScriptedStarter } from './scripted-starter.ts';
import { createTemporaryDirectory } from './temporary-directory.ts';

/** How long a test waits for what must happen; never reached by a working engine. */
const deadlineMs = 30_000;

export interface EngineBench extends AsyncDisposable {
  readonly engine: RunEngine;
  readonly store: Store;
  readonly blobs: Blobs;
  readonly starter: ScriptedStarter;
  readonly directory: string;
  submit(change?: Partial<RunOrder>): Promise<Run>;
  /** Submits and waits for the end. */
  run(change?: Partial<RunOrder>): Promise<Run>;
  finished(id: RunId): Promise<Run>;
  /** Waits until the run is as `isSo` wants it. */
  until(id: RunId, isSo: (run: Run) => boolean): Promise<Run>;
  log(id: RunId, follow?: boolean): Promise<readonly LogRecord[]>;
  /** A second engine on the same store, blobs and starter. */
  another(config?: Partial<RunEngineConfig>): RunEngine;
}

export interface BenchOptions {
  readonly starter?: ScriptedStarter;
  readonly config?: Partial<RunEngineConfig>;
  /** Do not start the engine. */
  readonly idle?: boolean;
  /** Instead of a temporary directory. */
  readonly directory?: string;
  readonly clock?: Clock;
  readonly logger?: EngineLogger;
  /** Something between the engine and its store. */
  readonly wrapStore?: (store: Store) => Store;
}

export async function createEngineBench(options: BenchOptions = {}): Promise<EngineBench> {
  const resources = new AsyncDisposableStack();
  const directory = options.directory ?? resources.use(createTemporaryDirectory()).path;
  const clock = options.clock ?? systemClock;
  const opened = resources.use(await createSqliteStore({ path: join(directory, 'slipway.db'), clock }));
  const store = options.wrapStore?.(opened) ?? opened;
  const blobs = await createLocalBlobs({ root: join(directory, 'blobs') });
  const starter = options.starter ?? new ScriptedStarter();
  const query = { namespace: 'default', name: 'somebody' };
  const principal = (await store.findPrincipal(query)) ?? samplePrincipal();
  if (!(await store.findPrincipal(query))) await store.createPrincipal(principal);
  const create = (config: Partial<RunEngineConfig> = {}) => {
    const common = { concurrency: 2, journalDir: join(directory, 'journals'), exclusive: true };
    const times = { pollMs: 50, leaseMs: 3000, ...options.config };
    const logger = options.logger ?? silent;
    return createRunEngine({
      store,
      blobs,
      starter,
      clock,
      logger,
      config: { ...common, ...times, ...config },
    });
  };
  const engine = create();
  if (!options.idle) await engine.start();
  resources.defer(() => engine.stop(2000));
  const waiting = () => AbortSignal.timeout(deadlineMs);
  const bench: EngineBench = {
    engine,
    store,
    blobs,
    starter,
    directory,
    submit: (change) =>
      engine.submit({
        namespace: principal.namespace,
        principal: principal.id,
        order: { ...sampleOrder, ...change },
        labels: {},
      }),
    run: async (change) => bench.finished((await bench.submit(change)).id),
    finished: async (id) => {
      const run = await engine.waitFor(id, waiting());
      if (!isFinished(run.status)) throw new Error(`the run is still ${run.status.state}`);
      return run;
    },
    until: async (id, isSo) => {
      const signal = waiting();
      for (;;) {
        const run = await store.getRun(id);
        if (run && isSo(run)) return run;
        if (signal.aborted) throw new Error(`the run stays ${run?.status.state}`);
        await new Promise(setImmediate);
      }
    },
    log: (id, follow = false) => Array.fromAsync(engine.readLog(id, { follow, signal: waiting() })),
    another: create,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
  return bench;
}

export function resultOf(run: Run): RunResult {
  if (isFinished(run.status)) return run.status.result;
  throw new Error(`the run is ${run.status.state}`);
}

export function outcomeOf(run: Run): Outcome {
  return resultOf(run).outcome;
}

/** The bytes of a log, both streams together. */
export function textOf(records: readonly LogRecord[]): string {
  return Buffer.concat(
    records.map((record) => (record.kind === 'output' ? record.bytes : Buffer.from('[cut]'))),
  ).toString();
}

export async function readText(blobs: Blobs, digest: Parameters<Blobs['get']>[0]): Promise<string> {
  return (await readBytes(blobs.get(digest), 1_000_000)).toString();
}

export const silent: EngineLogger = { info: () => undefined, warn: () => undefined, error: () => undefined };

/** A store some of whose operations do something else. */
export function overrideStore(store: Store, overrides: Partial<Store>): Store {
  return new Proxy(store, {
    get(target, name) {
      const value = Reflect.get(overrides, name) ?? Reflect.get(target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
