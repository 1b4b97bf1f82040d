/** Namespaces, principals, tokens; runs, their history and the blobs they refer to. */
import type { Migration } from './migration.ts';

export const createRuns: Migration = {
  id: '0001-runs',
  async up(db, now) {
    await createPrincipals(db);
    await createRunTables(db);
    await createRunIndexes(db);
    await db.insertInto('namespaces').values({ name: 'default', created_at: now }).execute();
    await db.insertInto('store_checks').values({ id: 1, checked_at: now }).execute();
  },
};

type AnySchema = Parameters<Migration['up']>[0];

async function createPrincipals(db: AnySchema): Promise<void> {
  await db.schema
    .createTable('namespaces')
    .addColumn('name', 'text', (column) => column.primaryKey())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .execute();
  await db.schema
    .createTable('principals')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('namespace', 'text', (column) => column.notNull().references('namespaces.name'))
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('role', 'text', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addUniqueConstraint('principals_by_name', ['namespace', 'name'])
    .execute();
  await db.schema
    .createTable('tokens')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('principal', 'text', (column) => column.notNull().references('principals.id'))
    .addColumn('hash', 'text', (column) => column.notNull().unique())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('revoked_at', 'bigint')
    .execute();
}

async function createRunTables(db: AnySchema): Promise<void> {
  await createRunTable(db);
  await db.schema
    .createTable('run_events')
    .addColumn('run', 'text', (column) => column.notNull().references('runs.id'))
    .addColumn('number', 'integer', (column) => column.notNull())
    .addColumn('at', 'bigint', (column) => column.notNull())
    .addColumn('event', 'text', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('token', 'integer', (column) => column.notNull())
    .addPrimaryKeyConstraint('run_events_key', ['run', 'number'])
    .execute();
  await db.schema
    .createTable('blob_references')
    .addColumn('digest', 'text', (column) => column.notNull())
    .addColumn('run', 'text', (column) => column.notNull().references('runs.id'))
    .addPrimaryKeyConstraint('blob_references_key', ['digest', 'run'])
    .execute();
  await db.schema
    .createTable('store_checks')
    .addColumn('id', 'integer', (column) => column.primaryKey())
    .addColumn('checked_at', 'bigint', (column) => column.notNull())
    .execute();
}

async function createRunTable(db: AnySchema): Promise<void> {
  await db.schema
    .createTable('runs')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('namespace', 'text', (column) => column.notNull().references('namespaces.name'))
    .addColumn('principal', 'text', (column) => column.notNull().references('principals.id'))
    .addColumn('submitted_at', 'bigint', (column) => column.notNull())
    .addColumn('order_json', 'text', (column) => column.notNull())
    .addColumn('labels_json', 'text', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('version', 'integer', (column) => column.notNull())
    .addColumn('attempts', 'integer', (column) => column.notNull())
    .addColumn('lease_holder', 'text')
    .addColumn('lease_expires_at', 'bigint')
    .addColumn('fencing_token', 'integer', (column) => column.notNull())
    .addColumn('cancel_requested', 'integer', (column) => column.notNull())
    .addColumn('cancel_reason', 'text')
    .addColumn('started_at', 'bigint')
    .addColumn('finished_at', 'bigint')
    .addColumn('outcome_json', 'text')
    .addColumn('usage_json', 'text')
    .addColumn('log_digest', 'text')
    .addColumn('files_json', 'text')
    .addColumn('skipped_json', 'text')
    .execute();
}

async function createRunIndexes(db: AnySchema): Promise<void> {
  const indexes = {
    runs_by_state: ['state', 'submitted_at', 'id'],
    runs_by_namespace: ['namespace', 'submitted_at', 'id'],
    runs_by_principal: ['principal', 'submitted_at', 'id'],
  };
  for (const [name, columns] of Object.entries(indexes)) {
    await db.schema.createIndex(name).on('runs').columns(columns).execute();
  }
}
