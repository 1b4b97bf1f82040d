/**
 * The Store over SQLite, for one machine. The database lives in a worker thread (worker.ts) behind messages;
 * what the operations do is in ../operations/, how they are committed in group-commit.ts. A worker that dies is
 * replaced at the next call. Not here: anything about runs.
 */
import type { Clock } from '../../base/clock.ts';
import { SlipwayError } from '../../base/errors.ts';
import type { Principal, Token } from '../../model/principal.ts';
import type { RunId, RunResult, RunState } from '../../model/run.ts';
import type { Input, OperationName, Output } from '../operations/operations.ts';
import type {
  Claim,
  FencedWrite,
  NewRun,
  Recovery,
  Renewal,
  RunQuery,
  Store,
  TokenRevocation,
} from '../store.ts';
import { WorkerLink } from './worker-link.ts';

export interface SqliteStoreOptions {
  /** The database file; it is made if need be, together with its directory. */
  readonly path: string;
  readonly clock: Clock;
  /** How long a write waits while another process holds the lock, in ms; 5 s by default. */
  readonly lockDeadlineMs?: number;
}

const defaultLockDeadlineMs = 5000;

/**
 * Opens the database.
 *
 * @throws SlipwayError `store-too-new`, `store-locked`, `store-read-only`, `store-full`, `store-corrupted`,
 *   `store-cannot-open`, `store-io-error`; later the same from every operation, and `store-unavailable` when the
 *   worker died, `store-closed` after disposal
 */
export async function createSqliteStore(options: SqliteStoreOptions): Promise<Store> {
  const store = new SqliteStore(options);
  await store.open();
  return store;
}

class SqliteStore implements Store {
  readonly #options: SqliteStoreOptions;
  #link: Promise<WorkerLink> | undefined;
  #opened = false;
  #closed = false;

  constructor(options: SqliteStoreOptions) {
    this.#options = options;
  }

  async open(): Promise<void> {
    await this.#openLink();
    this.#opened = true;
  }

  submitRun(run: NewRun) {
    return this.#call('submitRun', run);
  }

  admitRun(id: RunId) {
    return this.#call('admitRun', id);
  }

  listSubmitted(limit: number) {
    return this.#call('listSubmitted', limit);
  }

  claimRuns(claim: Claim) {
    return this.#call('claimRuns', claim);
  }

  renewLeases(renewal: Renewal) {
    return this.#call('renewLeases', renewal);
  }

  startRun(write: FencedWrite & { readonly at: number }) {
    return this.#call('startRun', write);
  }

  requeueRun(write: FencedWrite) {
    return this.#call('requeueRun', write);
  }

  finishRun(write: FencedWrite & { readonly result: RunResult }) {
    return this.#call('finishRun', write);
  }

  cancelRun(cancellation: { readonly id: RunId; readonly reason: string; readonly at: number }) {
    return this.#call('cancelRun', cancellation);
  }

  recoverRuns(recovery: Recovery) {
    return this.#call('recoverRuns', recovery);
  }

  getRun(id: RunId) {
    return this.#call('getRun', id);
  }

  listRuns(query: RunQuery) {
    return this.#call('listRuns', query);
  }

  countRuns(query: { readonly states: readonly RunState[] }) {
    return this.#call('countRuns', query);
  }

  isBlobReferenced(digest: string) {
    return this.#call('isBlobReferenced', digest);
  }

  createPrincipal(principal: Principal) {
    return this.#call('createPrincipal', principal);
  }

  findPrincipal(query: { readonly namespace: string; readonly name: string }) {
    return this.#call('findPrincipal', query);
  }

  createToken(token: Token) {
    return this.#call('createToken', token);
  }

  findByTokenHash(hash: string) {
    return this.#call('findByTokenHash', hash);
  }

  listTokens(query: { readonly namespace: string }) {
    return this.#call('listTokens', query);
  }

  revokeToken(revocation: TokenRevocation) {
    return this.#call('revokeToken', revocation);
  }

  check() {
    return this.#call('checkWrite', null);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    const link = await this.#link?.catch(() => undefined);
    await link?.close();
  }

  async #call<Name extends OperationName>(name: Name, input: Input<Name>): Promise<Output<Name>> {
    if (this.#closed) throw new SlipwayError('unavailable', 'store-closed', 'The store is closed.');
    const link = await this.#currentLink();
    const value = await link.call({ name, input, now: this.#options.clock.now() });
    return value as Output<Name>; // the worker runs the operation of this name, from the same source
  }

  async #currentLink(): Promise<WorkerLink> {
    const link = await this.#link?.catch(() => undefined);
    return link && !link.ended ? link : await this.#openLink();
  }

  /** One new worker, however many calls ask for it. */
  async #openLink(): Promise<WorkerLink> {
    const before = this.#link;
    await before?.catch(() => undefined);
    if (this.#link && this.#link !== before) return await this.#link;
    this.#link = WorkerLink.open({
      path: this.#options.path,
      mayCreate: !this.#opened,
      lockDeadlineMs: this.#options.lockDeadlineMs ?? defaultLockDeadlineMs,
    });
    return await this.#link;
  }
}
