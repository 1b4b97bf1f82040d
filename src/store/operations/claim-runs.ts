import type { Run } from '../../model/run.ts';
import type { RunsTable } from '../schema.ts';
import type { Claim } from '../store.ts';
import type { StoreContext } from './context.ts';
import { orSetAside } from './set-aside.ts';
import { applyEvent } from './write-run.ts';

/**
 * Takes the oldest queued runs, each with the next fencing token. One that cannot be read ends as
 * `platform-error`, so that it does not stand in the way of the others.
 */
export async function claimRuns(context: StoreContext, claim: Claim): Promise<readonly Run[]> {
  const rows = await context.db
    .selectFrom('runs')
    .selectAll()
    .where('state', '=', 'queued')
    .orderBy('submitted_at')
    .orderBy('id')
    .limit(claim.limit)
    .execute();
  const runs: Run[] = [];
  for (const row of rows) {
    const run = await claimRun(context, row, claim);
    if (run) runs.push(run);
  }
  return runs;
}

async function claimRun(context: StoreContext, row: RunsTable, claim: Claim): Promise<Run | undefined> {
  const token = row.fencing_token + 1;
  const lease = { holder: claim.holder, token, expiresAt: claim.now + claim.leaseMs };
  const extra = { attempts: row.attempts + 1, fencing_token: token };
  return await orSetAside(context, row, applyEvent(context, row, { type: 'claim', lease }, extra));
}
