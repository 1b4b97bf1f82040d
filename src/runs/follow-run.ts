/**
 * A run as it happens: its states and its output, from any place on, also in another process than the one in which
 * the reader began. Like readLog it reads from disk at the reader's pace, so that a slow or vanished one costs
 * nothing. States that came and went between two looks are not told.
 */
import type { LogRecord } from '../model/output-log.ts';
import { readSizedRecords } from '../model/output-log.ts';
import { isFinished, type Run, type RunId, type RunState } from '../model/run.ts';
import type { EngineContext } from './engine-context.ts';
import { readFrom } from './read-log.ts';
import { runNotFound } from './settle-run.ts';

/** How much of a run a reader knows. */
export interface RunPlace {
  /** Bytes of kept output, of both streams together; each cut counts as one. */
  readonly position: number;
  /** Undefined: none yet. */
  readonly state: RunState | undefined;
}

export const beginning: RunPlace = { position: 0, state: undefined };

/** One thing that is new, and the place after it. The last one tells the state of the finished run. */
export type RunUpdate =
  | { readonly kind: 'state'; readonly run: Run; readonly place: RunPlace }
  | { readonly kind: 'record'; readonly record: LogRecord; readonly place: RunPlace };

export interface FollowOptions {
  /** What the reader knows already; any numbers are possible, what lies beyond the end is the end. */
  readonly after: RunPlace;
  /** Ends the reading, without an error. */
  readonly signal: AbortSignal;
}

/** @throws SlipwayError `run-not-found`, `blob-not-found`, `log-corrupted` */
export async function* followRun(
  context: EngineContext,
  id: RunId,
  { after, signal }: FollowOptions,
): AsyncGenerator<RunUpdate> {
  using changes = context.watch.watch(id);
  const log = new LogFollower(context, after.position);
  let { state } = after;
  while (!signal.aborted) {
    const run = await context.store.getRun(id);
    if (!run) throw runNotFound(id);
    if (run.status.state !== state && !isFinished(run.status)) {
      state = run.status.state;
      yield { kind: 'state', run, place: { position: log.position, state } };
    }
    for await (const record of log.read(run)) {
      yield { kind: 'record', record, place: { position: log.position, state } };
      if (signal.aborted) return;
    }
    if (isFinished(run.status)) {
      yield { kind: 'state', run, place: { position: log.position, state: run.status.state } };
      return;
    }
    await changes.wait(context.config.pollMs, signal);
  }
}

/** Goes on in a growing log where it stopped, without what the reader has already. */
class LogFollower {
  /** The place after what was read last. */
  position: number;
  readonly #context: EngineContext;
  /** What of the log has been taken, in bytes of the log. */
  #taken = 0;
  #skip: number;

  constructor(context: EngineContext, position: number) {
    this.#context = context;
    this.position = position;
    this.#skip = position;
  }

  /** What there is now and was not read before. */
  async *read(run: Run): AsyncGenerator<LogRecord> {
    for await (const { record, sizeBytes } of readSizedRecords(readFrom(this.#context, run, this.#taken))) {
      this.#taken += sizeBytes;
      const fresh = this.#withoutKnown(record);
      if (fresh === undefined) continue;
      this.position += lengthOf(fresh);
      yield fresh;
    }
  }

  #withoutKnown(record: LogRecord): LogRecord | undefined {
    const known = Math.min(this.#skip, lengthOf(record));
    this.#skip -= known;
    if (known === lengthOf(record)) return undefined;
    return record.kind === 'cut' ? record : { ...record, bytes: record.bytes.subarray(known) };
  }
}

function lengthOf(record: LogRecord): number {
  return record.kind === 'cut' ? 1 : record.bytes.length;
}
