import { isFinished, type Run, type RunId, type RunResult } from '../../model/run.ts';
import { parseRunRow } from '../run-row.ts';
import type { RunsTable } from '../schema.ts';
import type { StoreContext } from './context.ts';
import { applyEvent, getRunRow, writeRun } from './write-run.ts';

/** Ends an unclaimed run, marks a claimed one for its holder, leaves a finished one alone. */
export async function cancelRun(
  context: StoreContext,
  cancellation: { readonly id: RunId; readonly reason: string; readonly at: number },
): Promise<Run> {
  const row = await getRunRow(context, cancellation.id);
  const run = parseRunRow(row);
  if (isFinished(run.status) || run.cancelRequested) return run;
  const request = { cancel_requested: 1, cancel_reason: cancellation.reason };
  if ('lease' in run.status) return await writeRun(context, row, { event: 'cancel', columns: request });
  const result = cancelled(cancellation.reason, cancellation.at);
  return await applyEvent(context, row, { type: 'finish', result }, request);
}

/** `preparing` → `queued`, or → `cancelled` where somebody has asked for that. */
export async function requeueOrCancel(context: StoreContext, row: RunsTable): Promise<Run> {
  if (row.cancel_requested === 0 || row.state !== 'preparing') {
    return await applyEvent(context, row, { type: 'requeue' });
  }
  const result = cancelled(row.cancel_reason ?? 'cancelled', context.now);
  return await applyEvent(context, row, { type: 'finish', result });
}

function cancelled(reason: string, at: number): RunResult {
  return {
    outcome: { kind: 'cancelled', reason },
    finishedAt: at,
    usage: null,
    log: null,
    files: [],
    skipped: [],
  };
}
