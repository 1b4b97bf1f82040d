/** One step of the schema. An applied migration is never edited: the next one corrects it. */
import type { Kysely } from 'kysely';
import type { Database } from '../schema.ts';

export interface Migration {
  /** The name of its file, `0001-runs`; migrations are applied in the order of their names. */
  readonly id: string;
  up(db: Kysely<Database>, now: number): Promise<void>;
}
