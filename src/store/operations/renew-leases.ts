import type { RunId } from '../../model/run.ts';
import type { FencedWrite, Renewal, Renewed } from '../store.ts';
import type { StoreContext } from './context.ts';

/** Extends the given leases; no history is written, it would be mostly this. */
export async function renewLeases(context: StoreContext, renewal: Renewal): Promise<Renewed> {
  const cancelRequested: { id: RunId; reason: string }[] = [];
  const stale: RunId[] = [];
  for (const claim of renewal.claims) {
    const row = await renewLease(context, renewal, claim);
    if (!row) stale.push(claim.id);
    else if (row.cancel_requested === 1) {
      cancelRequested.push({ id: claim.id, reason: row.cancel_reason ?? 'cancelled' });
    }
  }
  return { cancelRequested, stale };
}

async function renewLease(context: StoreContext, renewal: Renewal, claim: FencedWrite) {
  return await context.db
    .updateTable('runs')
    .set({ lease_expires_at: renewal.now + renewal.leaseMs })
    .where('id', '=', claim.id)
    .where('fencing_token', '=', claim.token)
    .where('lease_holder', '=', renewal.holder)
    .returning(['cancel_requested', 'cancel_reason'])
    .executeTakeFirst();
}
