import type { Run, RunId, RunResult } from '../../model/run.ts';
import type { RunsTable } from '../schema.ts';
import type { Recovered, Recovery } from '../store.ts';
import { requeueOrCancel } from './cancel-run.ts';
import type { StoreContext } from './context.ts';
import { orSetAside } from './set-aside.ts';
import { applyEvent } from './write-run.ts';

/** Takes the runs whose holder is gone out of its hands. */
export async function recoverRuns(context: StoreContext, recovery: Recovery): Promise<Recovered> {
  const lost: RunId[] = [];
  const requeued: RunId[] = [];
  for (const row of await findLapsed(context, recovery)) {
    const run = await orSetAside(context, row, recoverRun(context, row));
    if (run?.status.state === 'lost') lost.push(run.id);
    if (run?.status.state === 'queued') requeued.push(run.id);
  }
  return { lost, requeued };
}

async function findLapsed(context: StoreContext, recovery: Recovery): Promise<readonly RunsTable[]> {
  return await context.db
    .selectFrom('runs')
    .selectAll()
    .where('state', 'in', ['preparing', 'running'])
    .where((where) => {
      const lapsed = where('lease_expires_at', '<=', recovery.now);
      return recovery.exclusive ? where.or([lapsed, where('lease_holder', '!=', recovery.holder)]) : lapsed;
    })
    .orderBy('submitted_at')
    .orderBy('id')
    .execute();
}

async function recoverRun(context: StoreContext, row: RunsTable): Promise<Run> {
  if (row.state === 'preparing') return await requeueOrCancel(context, row);
  return await applyEvent(context, row, { type: 'finish', result: lostResult(context.now) });
}

function lostResult(at: number): RunResult {
  const reason = 'The control plane that ran it ended; how far the program came is not known.';
  return {
    outcome: { kind: 'lost', reason },
    finishedAt: at,
    usage: null,
    log: null,
    files: [],
    skipped: [],
  };
}
