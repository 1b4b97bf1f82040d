/** Brings a database to the schema of this program. Add a migration: write its file, list it here. */
import type { Kysely } from 'kysely';
import { SlipwayError } from '../../base/errors.ts';
import type { Database } from '../schema.ts';
import { createRuns } from './0001-runs.ts';
import type { Migration } from './migration.ts';

const migrations: readonly Migration[] = [createRuns];

/**
 * Applies what is missing, inside the caller's transaction.
 *
 * @throws SlipwayError `store-too-new` for a database that a newer program has changed
 */
export async function migrate(db: Kysely<Database>, now: number): Promise<void> {
  const applied = await readApplied(db);
  assertKnown(applied);
  for (const migration of migrations) {
    if (applied.has(migration.id)) continue;
    await migration.up(db, now);
    await db.insertInto('migrations').values({ id: migration.id, applied_at: now }).execute();
  }
}

async function readApplied(db: Kysely<Database>): Promise<ReadonlySet<string>> {
  await db.schema
    .createTable('migrations')
    .ifNotExists()
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('applied_at', 'bigint', (column) => column.notNull())
    .execute();
  const rows = await db.selectFrom('migrations').select('id').execute();
  return new Set(rows.map((row) => row.id));
}

function assertKnown(applied: ReadonlySet<string>): void {
  const known = new Set(migrations.map((migration) => migration.id));
  const unknown = [...applied].filter((id) => !known.has(id)).sort();
  if (unknown.length === 0) return;
  throw new SlipwayError(
    'unsupported',
    'store-too-new',
    `The database was changed by a newer version of Slipway (${unknown.join(', ')}). Start that version, or restore a backup from before.`,
    { details: { unknown } },
  );
}
