/**
 * The output of a run, finished or not. A live reader reads from the journal's file at its own pace, so a slow
 * or vanished one costs nothing; when the run has finished it goes on in the stored output, which begins with
 * the same bytes.
 */
import { createReadStream } from 'node:fs';
import { systemCode } from '../base/errors.ts';
import { type LogRecord, readLogRecords } from '../model/output-log.ts';
import { isFinished, type Run, type RunId } from '../model/run.ts';
import type { EngineContext } from './engine-context.ts';
import { journalPath } from './journal-path.ts';
import { runNotFound } from './settle-run.ts';

export interface ReadLogOptions {
  /** Go on until the run has finished. */
  readonly follow: boolean;
  /** Ends the reading, without an error. */
  readonly signal: AbortSignal;
}

/** @throws SlipwayError `run-not-found`, `blob-not-found`, `log-corrupted` */
export function readLog(
  context: EngineContext,
  id: RunId,
  options: ReadLogOptions,
): AsyncGenerator<LogRecord> {
  return readLogRecords(readBytes(context, id, options));
}

async function* readBytes(
  context: EngineContext,
  id: RunId,
  { follow, signal }: ReadLogOptions,
): AsyncGenerator<Uint8Array> {
  using changes = context.watch.watch(id);
  let position = 0;
  while (!signal.aborted) {
    const run = await context.store.getRun(id);
    if (!run) throw runNotFound(id);
    for await (const piece of readFrom(context, run, position)) {
      if (signal.aborted) return;
      position += piece.length;
      yield piece;
    }
    if (!follow || isFinished(run.status)) return;
    await changes.wait(context.config.pollMs, signal);
  }
}

/** The stored output, or the journal of a running program: what there is now, from a position in bytes on. */
export async function* readFrom(
  context: EngineContext,
  run: Run,
  position: number,
): AsyncGenerator<Uint8Array> {
  if (isFinished(run.status)) {
    const { log } = run.status.result;
    if (log !== null) yield* context.blobs.get(log, { start: position, end: Number.MAX_SAFE_INTEGER });
  } else if (run.status.state === 'running') {
    const path = journalPath(context.config.journalDir, { id: run.id, token: run.status.lease.token });
    yield* readJournal(path, position);
  }
}

async function* readJournal(path: string, start: number): AsyncGenerator<Uint8Array> {
  try {
    yield* createReadStream(path, { start });
  } catch (error) {
    // Nothing was written yet, or the run has just finished: the next look finds it.
    if (systemCode(error) !== 'ENOENT') throw error;
  }
}
