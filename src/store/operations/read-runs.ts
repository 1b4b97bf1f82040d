/** Questions about runs. */
import { SlipwayError } from '../../base/errors.ts';
import type { Run, RunId, RunState } from '../../model/run.ts';
import { runIdSchema } from '../../model/run-schema.ts';
import { parseRunRow } from '../run-row.ts';
import type { RunPage, RunQuery } from '../store.ts';
import type { StoreContext } from './context.ts';
import { findRunRow } from './write-run.ts';

export async function getRun(context: StoreContext, id: RunId): Promise<Run | undefined> {
  const row = await findRunRow(context, id);
  return row && parseRunRow(row);
}

/** Newest first, a page at a time. @throws SlipwayError `run-not-found` for an unknown `before` */
export async function listRuns(context: StoreContext, query: RunQuery): Promise<RunPage> {
  const limit = Math.min(Math.max(query.limit, 1), 1000);
  let rows = context.db.selectFrom('runs').selectAll().where('namespace', '=', query.namespace);
  if (query.principal !== undefined) rows = rows.where('principal', '=', query.principal);
  if (query.states !== undefined) rows = rows.where('state', 'in', [...query.states]);
  if (query.before !== undefined) {
    const cursor = await findCursor(context, query.before);
    rows = rows.where((where) =>
      where.or([
        where('submitted_at', '<', cursor.submitted_at),
        where('submitted_at', '=', cursor.submitted_at).and('id', '<', cursor.id),
      ]),
    );
  }
  const found = await rows
    .orderBy('submitted_at', 'desc')
    .orderBy('id', 'desc')
    .limit(limit + 1)
    .execute();
  return toPage(found.map(parseRunRow), limit);
}

function toPage(found: readonly Run[], limit: number): RunPage {
  const runs = found.slice(0, limit);
  const last = runs.at(-1);
  return found.length > limit && last ? { runs, next: last.id } : { runs };
}

async function findCursor(context: StoreContext, before: RunId) {
  const cursor = await context.db
    .selectFrom('runs')
    .select(['id', 'submitted_at'])
    .where('id', '=', before)
    .executeTakeFirst();
  if (cursor) return cursor;
  throw new SlipwayError('not-found', 'run-not-found', `There is no run ${before} to list runs before.`);
}

export async function countRuns(
  context: StoreContext,
  query: { readonly states: readonly RunState[] },
): Promise<number> {
  const row = await context.db
    .selectFrom('runs')
    .select((select) => select.fn.countAll().as('count'))
    .where('state', 'in', [...query.states])
    .executeTakeFirstOrThrow();
  return Number(row.count);
}

export async function listSubmitted(context: StoreContext, limit: number): Promise<readonly RunId[]> {
  const rows = await context.db
    .selectFrom('runs')
    .select('id')
    .where('state', '=', 'submitted')
    .orderBy('submitted_at')
    .orderBy('id')
    .limit(limit)
    .execute();
  return rows.map((row) => runIdSchema.parse(row.id));
}

export async function isBlobReferenced(context: StoreContext, digest: string): Promise<boolean> {
  const row = await context.db
    .selectFrom('blob_references')
    .select('run')
    .where('digest', '=', digest)
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}
