/** Writes that only the holder of the newest fencing token may make. */
import { SlipwayError } from '../../base/errors.ts';
import type { Run, RunResult } from '../../model/run.ts';
import type { RunsTable } from '../schema.ts';
import type { FencedWrite } from '../store.ts';
import { addBlobReferences } from './blob-references.ts';
import { requeueOrCancel } from './cancel-run.ts';
import type { StoreContext } from './context.ts';
import { applyEvent, getRunRow } from './write-run.ts';

/** @throws SlipwayError `stale-token`, `bad-transition` */
export async function startRun(
  context: StoreContext,
  write: FencedWrite & { readonly at: number },
): Promise<Run> {
  const row = await getClaimedRow(context, write);
  return await applyEvent(context, row, { type: 'start', at: write.at });
}

/** @throws SlipwayError `stale-token`, `bad-transition` */
export async function requeueRun(context: StoreContext, write: FencedWrite): Promise<Run> {
  return await requeueOrCancel(context, await getClaimedRow(context, write));
}

/** @throws SlipwayError `stale-token`, `bad-transition` */
export async function finishRun(
  context: StoreContext,
  write: FencedWrite & { readonly result: RunResult },
): Promise<Run> {
  const { result } = write;
  const row = await getClaimedRow(context, write);
  const run = await applyEvent(context, row, { type: 'finish', result });
  const digests = result.files.map((file) => file.digest);
  await addBlobReferences(context, run.id, result.log === null ? digests : [...digests, result.log]);
  return run;
}

async function getClaimedRow(context: StoreContext, write: FencedWrite): Promise<RunsTable> {
  const row = await getRunRow(context, write.id);
  if (row.lease_holder !== null && row.fencing_token === write.token) return row;
  throw new SlipwayError(
    'conflict',
    'stale-token',
    `The claim ${write.token} on the run ${write.id} is over: the run is ${row.state}, its newest claim is ${row.fencing_token}. Nothing was written.`,
    { details: { run: write.id, token: write.token, newest: row.fencing_token, state: row.state } },
  );
}
