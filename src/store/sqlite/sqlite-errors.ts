/**
 * What SQLite's result codes mean for the person who runs Slipway. Source: sqlite.org/rescode.html; the low
 * byte of an extended code is the primary one.
 */
import { type ErrorKind, SlipwayError } from '../../base/errors.ts';

interface Meaning {
  readonly kind: ErrorKind;
  readonly code: string;
  readonly message: string;
  /** Whether the database must be opened anew before it can work again. */
  readonly reopen?: true;
}

const databaseMoved = 1032;
const constraint = 19;

const locked: Meaning = {
  kind: 'unavailable',
  code: 'store-locked',
  message: 'another process holds its write lock; end that process, or wait for it',
};

const corrupted: Meaning = {
  kind: 'corrupted',
  code: 'store-corrupted',
  message: 'the file is damaged or no database; stop Slipway and restore a backup',
  reopen: true,
};

const meanings: Readonly<Record<number, Meaning>> = {
  5: locked,
  6: locked,
  8: {
    kind: 'unavailable',
    code: 'store-read-only',
    message: 'it cannot be written; check the permissions and the mount of its directory',
  },
  10: {
    kind: 'unavailable',
    code: 'store-io-error',
    message: 'the operating system reports an input/output error; check the disk and the system log',
    reopen: true,
  },
  11: corrupted,
  13: {
    kind: 'unavailable',
    code: 'store-full',
    message: 'the disk is full; free some space, Slipway goes on by itself',
  },
  14: {
    kind: 'unavailable',
    code: 'store-cannot-open',
    message: 'the file cannot be opened; check that its directory exists and may be written',
  },
  26: corrupted,
  [databaseMoved]: {
    kind: 'unavailable',
    code: 'store-moved',
    message: 'the file was moved or deleted while in use; put it back',
    reopen: true,
  },
};

function meaningOf(thrown: unknown): Meaning | undefined {
  const code = resultCode(thrown);
  return code === undefined ? undefined : (meanings[code] ?? meanings[code & 0xff]);
}

/** The (extended) result code of an error of node:sqlite. */
function resultCode(thrown: unknown): number | undefined {
  if (!(thrown instanceof Error) || !('errcode' in thrown)) return undefined;
  return typeof thrown.errcode === 'number' ? thrown.errcode : undefined;
}

/** As SQLite itself reports it in rollback mode. */
export function movedError(): Error {
  return Object.assign(new Error('the database file was moved'), { errcode: databaseMoved });
}

/** As SQLite itself reports it at the end of its own waiting. */
export function lockedError(): Error {
  return Object.assign(new Error('the database is locked'), { errcode: 5 });
}

export function isLocked(thrown: unknown): boolean {
  return meaningOf(thrown) === locked;
}

/** Whether the database is to be closed and opened anew after this error. */
export function needsReopen(thrown: unknown): boolean {
  return meaningOf(thrown)?.reopen === true;
}

/** Whether an error concerns the database as a whole, and not the statement or its data. */
export function isStorageFailure(thrown: unknown): boolean {
  const code = resultCode(thrown);
  return code !== undefined && code !== 1 && (code & 0xff) !== constraint;
}

/** @param path of the database, for the message */
export function fromSqliteError(thrown: unknown, path: string): unknown {
  const meaning = meaningOf(thrown);
  if (!meaning) return thrown;
  return new SlipwayError(meaning.kind, meaning.code, `The database ${path}: ${meaning.message}.`, {
    details: { resultCode: resultCode(thrown) ?? null },
    cause: thrown,
  });
}
