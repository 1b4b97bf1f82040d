/** Opens the database file with the settings that durability needs, and brings its schema up to date. */
import { accessSync, closeSync, constants, existsSync, mkdirSync, openSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Kysely } from 'kysely';
import { SlipwayError, systemCode } from '../../base/errors.ts';
import { migrate } from '../migrations/migrate.ts';
import type { Database } from '../schema.ts';
import { createDialect } from './node-sqlite-dialect.ts';
import type { WorkerOptions } from './protocol.ts';
import { fromSqliteError, movedError } from './sqlite-errors.ts';

export interface OpenDatabase {
  readonly path: string;
  /** For transactions and settings; queries go through `db`. */
  readonly raw: DatabaseSync;
  readonly db: Kysely<Database>;
  /** Which file it is (device and inode), to notice that the path has lost it. */
  readonly file: string;
}

/** How long SQLite itself waits for a lock once open, in ms; longer waits are group-commit.ts's, which answers reads meanwhile. */
const innerBusyTimeoutMs = 20;

/** @throws SlipwayError with a code that starts with `store-` */
export async function openDatabase(options: WorkerOptions): Promise<OpenDatabase> {
  prepareFile(options);
  try {
    return await openAndMigrate(options);
  } catch (error) {
    throw fromSqliteError(error, options.path);
  }
}

/** The file is its owner's alone, also the -wal and -shm files, which take its mode. */
function prepareFile({ path, mayCreate }: WorkerOptions): void {
  if (!mayCreate && !existsSync(path)) {
    throw new SlipwayError('unavailable', 'store-missing', `The database ${path} is gone; put it back.`);
  }
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    closeSync(openSync(path, 'a', 0o600));
    accessSync(dirname(path), constants.W_OK);
  } catch (cause) {
    throw unusableFile(path, cause);
  }
}

function unusableFile(path: string, cause: unknown): SlipwayError {
  const reason = systemCode(cause);
  const what = `The database ${path} cannot be opened for writing (${reason})`;
  if (reason === 'EROFS' || reason === 'EACCES' || reason === 'EPERM') {
    const message = `${what}; check the permissions and the mount of its directory.`;
    return new SlipwayError('unavailable', 'store-read-only', message, { cause });
  }
  if (reason === 'ENOSPC' || reason === 'EDQUOT') {
    return new SlipwayError('unavailable', 'store-full', `${what}; free some space.`, { cause });
  }
  return new SlipwayError('unavailable', 'store-cannot-open', `${what}; check its directory.`, { cause });
}

async function openAndMigrate({ path, lockDeadlineMs }: WorkerOptions): Promise<OpenDatabase> {
  const raw = new DatabaseSync(path, { timeout: lockDeadlineMs, enableForeignKeyConstraints: true });
  try {
    raw.exec('pragma journal_mode = wal; pragma synchronous = full; pragma trusted_schema = off');
    raw.exec('pragma temp_store = memory');
    const db = new Kysely<Database>({ dialect: createDialect(raw) });
    await migrateOnce(raw, db);
    raw.exec(`pragma busy_timeout = ${innerBusyTimeoutMs}`);
    return { path, raw, db, file: identify(path) ?? '' };
  } catch (error) {
    raw.close();
    throw error;
  }
}

/** In one transaction that excludes other processes: they find it done. */
async function migrateOnce(raw: DatabaseSync, db: Kysely<Database>): Promise<void> {
  raw.exec('begin immediate');
  try {
    await migrate(db, Date.now());
    raw.exec('commit');
  } catch (error) {
    if (raw.isTransaction) raw.exec('rollback');
    throw error;
  }
}

function identify(path: string): string | undefined {
  const found = statSync(path, { throwIfNoEntry: false });
  return found && `${found.dev}:${found.ino}`;
}

/**
 * SQLite itself does not notice, in WAL mode, that its file was moved or deleted, and would go on writing to a
 * file that nobody finds again.
 */
export function assertInPlace(database: OpenDatabase): void {
  if (identify(database.path) !== database.file) throw movedError();
}
