/** The images that runs of a service still need, whatever they are called by now. */
import { type Digest, parseDigest } from '../../base/digest.ts';
import { isSlipwayError } from '../../base/errors.ts';
import type { Client } from '../../client/client.ts';
import type { RunState } from '../../model/run.ts';

/** In the order in which runs pass them, so that none slips by between two questions. */
const unfinished: readonly RunState[] = ['submitted', 'queued', 'preparing', 'running'];

/** None when the service does not run: then nothing of it is waiting for a sandbox. */
export async function imagesOfRuns(
  client: Pick<Client, 'listRuns'>,
  signal: AbortSignal,
): Promise<ReadonlySet<Digest>> {
  const found = new Set<Digest>();
  try {
    for (const state of unfinished) {
      for await (const digest of imagesIn(client, state, signal)) found.add(digest);
    }
    return found;
  } catch (error) {
    if (isSlipwayError(error, 'server-unreachable')) return found;
    throw error;
  }
}

async function* imagesIn(client: Pick<Client, 'listRuns'>, state: RunState, signal: AbortSignal) {
  let before: string | undefined;
  do {
    const query = { state, limit: 100, ...(before === undefined ? {} : { before }) };
    const page = await client.listRuns(query, signal);
    for (const { image } of page.runs) yield parseDigest(image.digest);
    before = page.next ?? undefined;
  } while (before !== undefined);
}
