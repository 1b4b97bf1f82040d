import { SlipwayError } from '../../base/errors.ts';
import type { Run, RunId, RunOrder } from '../../model/run.ts';
import { parseRunRow, toNewRow } from '../run-row.ts';
import type { NewRun } from '../store.ts';
import { addBlobReferences } from './blob-references.ts';
import type { StoreContext } from './context.ts';
import { addRunEvent, applyEvent, findRunRow, getRunRow } from './write-run.ts';

/** @throws SlipwayError `run-exists`, `principal-not-found` */
export async function submitRun(context: StoreContext, run: NewRun): Promise<Run> {
  if (await findRunRow(context, run.id)) {
    throw new SlipwayError('conflict', 'run-exists', `The run ${run.id} exists already.`);
  }
  await assertPrincipal(context, run);
  const row = toNewRow(run);
  await context.db.insertInto('runs').values(row).execute();
  await addBlobReferences(context, run.id, blobsOf(run.order));
  await addRunEvent(context, row, 'submit');
  return parseRunRow(row);
}

/** `submitted` → `queued`; a run in any other state stays as it is. */
export async function admitRun(context: StoreContext, id: RunId): Promise<Run> {
  const row = await getRunRow(context, id);
  if (row.state !== 'submitted') return parseRunRow(row);
  return await applyEvent(context, row, { type: 'admit' });
}

async function assertPrincipal(context: StoreContext, run: NewRun): Promise<void> {
  const found = await context.db
    .selectFrom('principals')
    .select('id')
    .where('id', '=', run.principal)
    .where('namespace', '=', run.namespace)
    .executeTakeFirst();
  if (found) return;
  throw new SlipwayError(
    'not-found',
    'principal-not-found',
    `There is no principal ${run.principal} in the namespace "${run.namespace}".`,
  );
}

function blobsOf(order: RunOrder): string[] {
  const code = order.program.kind === 'script' ? order.program.files : [];
  const digests = [...code, ...order.inputs].map((file) => file.digest);
  return order.stdin === undefined ? digests : [...digests, order.stdin];
}
