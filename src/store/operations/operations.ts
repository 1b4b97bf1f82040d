/**
 * Every operation of the Store port as a function over Kysely: what a store does, in SQL that SQLite and
 * PostgreSQL share. Not here: transactions, threads and errors of a database (sqlite/). Each runs inside a
 * transaction of its caller; throwing undoes what it did.
 */
import { cancelRun } from './cancel-run.ts';
import { checkWrite } from './check-write.ts';
import { claimRuns } from './claim-runs.ts';
import { finishRun, requeueRun, startRun } from './fenced-writes.ts';
import {
  createPrincipal,
  createToken,
  findByTokenHash,
  findPrincipal,
  listTokens,
  revokeToken,
} from './principals.ts';
import { countRuns, getRun, isBlobReferenced, listRuns, listSubmitted } from './read-runs.ts';
import { recoverRuns } from './recover-runs.ts';
import { renewLeases } from './renew-leases.ts';
import { admitRun, submitRun } from './submit-run.ts';

/** Operations that change nothing. */
export const reads = {
  listSubmitted,
  getRun,
  listRuns,
  countRuns,
  isBlobReferenced,
  findPrincipal,
  findByTokenHash,
  listTokens,
};

/** Operations that write. */
export const writes = {
  submitRun,
  admitRun,
  claimRuns,
  renewLeases,
  startRun,
  requeueRun,
  finishRun,
  cancelRun,
  recoverRuns,
  createPrincipal,
  createToken,
  revokeToken,
  checkWrite,
};

export const operations = { ...reads, ...writes };

export type Operations = typeof operations;
export type OperationName = keyof Operations;
export type Input<Name extends OperationName> = Parameters<Operations[Name]>[1];
export type Output<Name extends OperationName> = Awaited<ReturnType<Operations[Name]>>;

export function isRead(name: OperationName): boolean {
  return Object.hasOwn(reads, name);
}
