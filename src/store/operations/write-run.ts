/** How a run is changed: read, `transition`, write back, and a line of its history. */
import { SlipwayError } from '../../base/errors.ts';
import { type Run, type RunEvent, type RunId, transition } from '../../model/run.ts';
import { parseRunRow, toStatusColumns } from '../run-row.ts';
import type { RunsTable } from '../schema.ts';
import type { StoreContext } from './context.ts';

/** Columns beyond those of the status that an event may set. */
type ExtraColumns = Partial<
  Pick<RunsTable, 'attempts' | 'fencing_token' | 'cancel_requested' | 'cancel_reason'>
>;

export async function findRunRow(context: StoreContext, id: RunId): Promise<RunsTable | undefined> {
  return await context.db.selectFrom('runs').selectAll().where('id', '=', id).executeTakeFirst();
}

/** @throws SlipwayError `run-not-found` */
export async function getRunRow(context: StoreContext, id: RunId): Promise<RunsTable> {
  const row = await findRunRow(context, id);
  if (row) return row;
  throw new SlipwayError('not-found', 'run-not-found', `There is no run ${id}.`, { details: { run: id } });
}

/** Applies an event to a run as `row` holds it; answers the run afterwards. */
export async function applyEvent(
  context: StoreContext,
  row: RunsTable,
  event: RunEvent,
  extra: ExtraColumns = {},
): Promise<Run> {
  const status = transition(parseRunRow(row).status, event);
  return await writeRun(context, row, {
    event: event.type,
    columns: { ...toStatusColumns(status), ...extra },
  });
}

/** Writes columns of a run that nobody has written since `row` was read, and its history. */
export async function writeRun(
  context: StoreContext,
  row: RunsTable,
  change: { readonly event: string; readonly columns: Partial<RunsTable> },
): Promise<Run> {
  const changed: RunsTable = { ...row, ...change.columns, version: row.version + 1 };
  const written = await context.db
    .updateTable('runs')
    .set({ ...change.columns, version: changed.version })
    .where('id', '=', row.id)
    .where('version', '=', row.version)
    .executeTakeFirst();
  if (written.numUpdatedRows !== 1n) throw concurrentWrite(row.id);
  await addRunEvent(context, changed, change.event);
  return parseRunRow(changed);
}

export async function addRunEvent(context: StoreContext, row: RunsTable, event: string): Promise<void> {
  await context.db
    .insertInto('run_events')
    .values({
      run: row.id,
      number: row.version,
      at: context.now,
      event,
      state: row.state,
      token: row.fencing_token,
    })
    .execute();
}

function concurrentWrite(id: string): SlipwayError {
  return new SlipwayError(
    'conflict',
    'run-changed',
    `The run ${id} was changed by another writer; try again.`,
  );
}
