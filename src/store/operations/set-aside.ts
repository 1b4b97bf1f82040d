import { isSlipwayError } from '../../base/errors.ts';
import type { Run } from '../../model/run.ts';
import { toStatusColumns } from '../run-row.ts';
import type { RunsTable } from '../schema.ts';
import type { StoreContext } from './context.ts';
import { addRunEvent } from './write-run.ts';

/**
 * What `work` makes of a run; a run whose row cannot be read ends as `platform-error` instead (and undefined is
 * returned), so that it does not stand in the way of all others.
 */
export async function orSetAside(
  context: StoreContext,
  row: RunsTable,
  work: Promise<Run>,
): Promise<Run | undefined> {
  try {
    return await work;
  } catch (error) {
    if (!isSlipwayError(error, 'run-corrupted')) throw error;
    await setAside(context, row, error.message);
    return undefined;
  }
}

async function setAside(context: StoreContext, row: RunsTable, message: string): Promise<void> {
  const result = {
    outcome: { kind: 'platform-error', code: 'run-corrupted', message },
    finishedAt: context.now,
    usage: null,
    log: null,
    files: [],
    skipped: [],
  } as const;
  const columns = toStatusColumns({ state: 'platform-error', startedAt: null, result });
  const changed = { ...row, ...columns, version: row.version + 1 };
  await context.db
    .updateTable('runs')
    .set({ ...columns, version: changed.version })
    .where('id', '=', row.id)
    .execute();
  await addRunEvent(context, changed, 'finish');
}
