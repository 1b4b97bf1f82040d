/** What every operation works with. */
import type { Kysely } from 'kysely';
import type { Database } from '../schema.ts';

export interface StoreContext {
  readonly db: Kysely<Database>;
  /** Ms since 1970, by the clock of the caller; stamps the history. */
  readonly now: number;
}
