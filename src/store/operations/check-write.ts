import type { StoreContext } from './context.ts';

/** Writes a row of its own, to see whether a write would succeed. */
export async function checkWrite(context: StoreContext, _input: null): Promise<void> {
  await context.db.updateTable('store_checks').set({ checked_at: context.now }).where('id', '=', 1).execute();
}
