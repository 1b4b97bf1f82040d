/** Which run needs which blob; a blob that no run needs may be collected. */
import type { RunId } from '../../model/run.ts';
import type { StoreContext } from './context.ts';

/** Rows of one statement: databases limit the variables. */
const batchRows = 1000;

export async function addBlobReferences(
  context: StoreContext,
  run: RunId,
  digests: readonly string[],
): Promise<void> {
  const rows = [...new Set(digests)].map((digest) => ({ digest, run }));
  for (let at = 0; at < rows.length; at += batchRows) {
    await context.db
      .insertInto('blob_references')
      .values(rows.slice(at, at + batchRows))
      .onConflict((conflict) => conflict.columns(['digest', 'run']).doNothing())
      .execute();
  }
}
