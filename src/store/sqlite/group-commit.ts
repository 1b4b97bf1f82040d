/**
 * Group commit: everything that has arrived is done in one transaction with one flush to disk, and answered
 * afterwards. An operation that fails is undone alone (a savepoint); one that finds the disk full does not take
 * its neighbours with it (they are tried again one by one). Reads are answered first and need no lock, so they
 * go on while another process holds the write lock. Why: docs/decisions/0002-sqlite-group-commit.md.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { isRead, operations } from '../operations/operations.ts';
import { assertInPlace, type OpenDatabase } from './open-database.ts';
import { type Answer, type Call, toPlainError } from './protocol.ts';
import { fromSqliteError, isLocked, isStorageFailure, lockedError, needsReopen } from './sqlite-errors.ts';

/** Operations of one transaction: more would make the first wait for long. */
const maxGroup = 500;
/** Between two tries to get the write lock, in ms. */
const lockRetryMs = 10;

export interface GroupCommitOptions {
  readonly database: OpenDatabase;
  readonly lockDeadlineMs: number;
  /** Calls that have arrived since the last time. */
  readonly arrived: () => readonly Call[];
  readonly answer: (answers: readonly Answer[]) => void;
}

type Begin = 'begin' | 'begin immediate';

interface Waiting {
  readonly call: Call;
  readonly deadline: number;
}

export class GroupCommit {
  readonly #options: GroupCommitOptions;
  #reads: Call[] = [];
  #writes: Waiting[] = [];
  #needsReopen = false;

  constructor(options: GroupCommitOptions) {
    this.#options = options;
  }

  /** Set after an error from which only opening the database anew helps. */
  get needsReopen(): boolean {
    return this.#needsReopen;
  }

  /** Does all that has arrived, and what arrives meanwhile. */
  async drain(): Promise<void> {
    do {
      this.#collect();
      await this.#answerReads();
      await this.#commitWrites();
    } while (this.#collect());
  }

  #collect(): boolean {
    const deadline = performance.now() + this.#options.lockDeadlineMs;
    for (const call of this.#options.arrived()) {
      if (isRead(call.name)) this.#reads.push(call);
      else this.#writes.push({ call, deadline });
    }
    return this.#reads.length + this.#writes.length > 0;
  }

  async #answerReads(): Promise<void> {
    if (this.#reads.length === 0) return;
    const calls = this.#reads;
    this.#reads = [];
    this.#options.answer(await this.#tryGroup(calls, 'begin'));
  }

  async #commitWrites(): Promise<void> {
    const group = this.#writes.slice(0, maxGroup);
    if (group.length === 0) return;
    if (!this.#lock()) return await this.#waitForLock();
    this.#writes = this.#writes.slice(group.length);
    const calls = group.map((waiting) => waiting.call);
    this.#options.answer(await this.#tryGroup(calls, 'begin immediate'));
  }

  /** Begins a writing transaction; false while another process has the lock. Other errors come up in the group. */
  #lock(): boolean {
    try {
      this.#options.database.raw.exec('begin immediate');
      return true;
    } catch (error) {
      return !isLocked(error);
    }
  }

  async #waitForLock(): Promise<void> {
    const now = performance.now();
    const late = this.#writes.filter((waiting) => waiting.deadline <= now);
    this.#writes = this.#writes.filter((waiting) => waiting.deadline > now);
    this.#options.answer(late.map(({ call }) => this.#failure(call, lockedError())));
    if (this.#writes.length > 0) await sleep(lockRetryMs);
  }

  /** The answers of a group; if it fails as a whole, of each call by itself. */
  async #tryGroup(calls: readonly Call[], begin: Begin): Promise<readonly Answer[]> {
    try {
      return await this.#runGroup(calls, begin);
    } catch (error) {
      const [only, ...others] = calls;
      if (only && others.length === 0) return [this.#failure(only, error)];
    }
    const answers: Answer[] = [];
    for (const call of calls) answers.push(...(await this.#tryGroup([call], begin)));
    return answers;
  }

  async #runGroup(calls: readonly Call[], begin: Begin): Promise<readonly Answer[]> {
    const { raw } = this.#options.database;
    try {
      if (!raw.isTransaction) raw.exec(begin);
      const answers: Answer[] = [];
      for (const call of calls) answers.push(await this.#runOne(call));
      if (begin === 'begin immediate') assertInPlace(this.#options.database);
      raw.exec('commit');
      return answers;
    } catch (error) {
      if (raw.isTransaction) raw.exec('rollback');
      throw error;
    }
  }

  /** One operation in its savepoint. Throws only if the whole group cannot go on. */
  async #runOne(call: Call): Promise<Answer> {
    const { raw } = this.#options.database;
    raw.exec('savepoint operation');
    try {
      const value = await this.#perform(call);
      raw.exec('release operation');
      return { id: call.id, ok: true, value };
    } catch (error) {
      if (!raw.isTransaction || isStorageFailure(error)) throw error;
      raw.exec('rollback to operation; release operation');
      return this.#failure(call, error);
    }
  }

  async #perform({ name, input, now }: Call): Promise<unknown> {
    // Name and input were matched by the types of SqliteStore, on the other side of the thread.
    const operation = operations[name] as (context: object, input: unknown) => Promise<unknown>;
    return await operation({ db: this.#options.database.db, now }, input);
  }

  #failure(call: Call, error: unknown): Answer {
    if (needsReopen(error)) this.#needsReopen = true;
    const { path } = this.#options.database;
    return { id: call.id, ok: false, error: toPlainError(fromSqliteError(error, path)) };
  }
}
