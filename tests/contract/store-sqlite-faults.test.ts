/** What can go wrong below the SQLite store: each fault has its own error, loses nothing, and passes. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, it } from 'node:test';
import type { Worker } from 'node:worker_threads';
import { systemClock } from '../../src/base/clock.ts';
import { isSlipwayError } from '../../src/base/errors.ts';
import { isId } from '../../src/base/ids.ts';
import { createSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import type { Store } from '../../src/store/store.ts';
import { assertFails } from '../support/assert-fails.ts';
import { samplePrincipal, sampleRun } from '../support/samples.ts';
import { createSmallDisk } from '../support/small-disk.ts';
import { startChild } from '../support/started-child.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';

const principal = samplePrincipal();

describe('sqlite store: faults', () => {
  it('keeps its files to their owner', async () => {
    using directory = createTemporaryDirectory();
    await using store = await openStore(join(directory.path, 'a.db'));
    await store.submitRun(sampleRun(principal));
    for (const name of readdirSync(directory.path)) {
      assert.equal(statSync(join(directory.path, name)).mode & 0o777, 0o600, name);
    }
  });

  it('refuses a database of a newer version and leaves it alone', async () => {
    using directory = createTemporaryDirectory();
    const path = join(directory.path, 'a.db');
    await (await openStore(path))[Symbol.asyncDispose]();
    edit(path, "insert into migrations (id, applied_at) values ('9999-future', 1)");
    const error = await assertFails(createSqliteStore({ path, clock: systemClock }), 'store-too-new');
    assert.match(error.message, /9999-future/);
    edit(path, "delete from migrations where id = '9999-future'");
    await using store = await createSqliteStore({ path, clock: systemClock });
    await store.check();
  });

  it('names a run that cannot be read, and goes on with the others', async () => {
    using directory = createTemporaryDirectory();
    const path = join(directory.path, 'a.db');
    await using store = await openStore(path);
    const runs = [sampleRun(principal), sampleRun(principal), sampleRun(principal)] as const;
    for (const run of runs) {
      await store.submitRun(run);
      await store.admitRun(run.id);
    }
    const [broken, strange, good] = runs;
    edit(path, `update runs set order_json = '{"program":', submitted_at = 1 where id = '${broken.id}'`);
    edit(path, `update runs set labels_json = '[7]', submitted_at = 2 where id = '${strange.id}'`);
    for (const { id } of [broken, strange]) {
      const error = await assertFails(store.getRun(id), 'run-corrupted');
      assert.equal(error.kind, 'corrupted');
      assert.ok(error.message.includes(id));
    }
    const claimed = await store.claimRuns({ holder: 'h', limit: 3, now: 1, leaseMs: 1000 });
    assert.deepEqual(
      claimed.map((run) => run.id),
      [good.id],
    );
    assert.equal(await store.countRuns({ states: ['platform-error'] }), 2);
  });

  it('refuses a file that is no database', async () => {
    using directory = createTemporaryDirectory();
    const path = join(directory.path, 'a.db');
    writeFileSync(path, 'This is not a database. '.repeat(500));
    await assertFails(createSqliteStore({ path, clock: systemClock }), 'store-corrupted');
  });

  it('reports a disk that is full, keeps what it accepted, and goes on when there is space', async () => {
    using disk = createSmallDisk(4 * 1024 * 1024);
    const path = join(disk.path, 'a.db');
    await using store = await openStore(path);
    disk.fill();
    const accepted: string[] = [];
    const error = await failsAtLast(async () => {
      accepted.push((await store.submitRun(sampleRun(principal))).id);
    });
    assert.ok(isSlipwayError(error, 'store-full'), String(error));
    assert.equal(error.kind, 'unavailable');
    assert.equal(await store.countRuns({ states: ['submitted'] }), accepted.length);
    disk.free();
    await store.submitRun(sampleRun(principal));
    assert.equal(await store.countRuns({ states: ['submitted'] }), accepted.length + 1);
  });

  it('answers what still fits when one operation finds the disk full', async () => {
    using disk = createSmallDisk(4 * 1024 * 1024);
    await using store = await openStore(join(disk.path, 'a.db'));
    const large = sampleRun(principal, { labels: { large: 'x'.repeat(8 * 1024 * 1024) } });
    const results = await Promise.allSettled([
      store.submitRun(sampleRun(principal)),
      store.submitRun(large),
      store.submitRun(sampleRun(principal)),
    ]);
    assert.deepEqual(
      results.map((result) => result.status),
      ['fulfilled', 'rejected', 'fulfilled'],
    );
    const refused = results[1];
    assert.ok(refused.status === 'rejected' && isSlipwayError(refused.reason, 'store-full'));
    assert.equal(await store.countRuns({ states: ['submitted'] }), 2);
  });

  it('waits for another process, answers reads meanwhile, and gives up at its deadline', async () => {
    using directory = createTemporaryDirectory();
    const path = join(directory.path, 'a.db');
    await using patient = await openStore(path);
    await using hasty = await createSqliteStore({ path, clock: systemClock, lockDeadlineMs: 50 });
    const holder = startChild('hold-write-lock.ts', path);
    await holder.line('locked');
    const waiting = patient.submitRun(sampleRun(principal));
    assert.equal(await patient.countRuns({ states: ['submitted'] }), 0);
    assert.equal((await assertFails(hasty.check(), 'store-locked')).kind, 'unavailable');
    holder.child.stdin?.end();
    await holder.exited;
    await waiting;
    await hasty.check();
  });

  it('says that it cannot write to a read-only file system', async () => {
    using disk = createSmallDisk(4 * 1024 * 1024);
    const path = join(disk.path, 'a.db');
    await (await openStore(path))[Symbol.asyncDispose]();
    disk.setReadOnly(true);
    await assertFails(createSqliteStore({ path, clock: systemClock }), 'store-read-only');
    disk.setReadOnly(false);
    await using store = await createSqliteStore({ path, clock: systemClock });
    await store.check();
  });

  it('does not replace a database that was moved away, and goes on when it is back', async () => {
    using directory = createTemporaryDirectory();
    const path = join(directory.path, 'a.db');
    await using store = await openStore(path);
    const { id } = await store.submitRun(sampleRun(principal));
    for (const end of ['', '-wal', '-shm']) renameSync(path + end, `${path}.away${end}`);
    await assertFails(store.check(), 'store-moved');
    await assertFails(store.check(), 'store-missing');
    assert.equal(existsSync(path), false);
    for (const name of readdirSync(directory.path)) {
      renameSync(join(directory.path, name), join(directory.path, name.replace('.away', '')));
    }
    assert.equal((await store.getRun(id))?.id, id);
    await store.check();
  });

  it('rejects what was under way when its thread dies, and starts another', async () => {
    using directory = createTemporaryDirectory();
    const workers: Worker[] = [];
    const collect = (worker: Worker) => workers.push(worker);
    process.on('worker', collect);
    try {
      await using store = await openStore(join(directory.path, 'a.db'));
      const { id } = await store.submitRun(sampleRun(principal));
      const underWay = Array.from({ length: 200 }, () => store.submitRun(sampleRun(principal)));
      const settled = Promise.allSettled(underWay);
      await workers.at(-1)?.terminate();
      const results = await settled;
      const failures = results.filter((result) => result.status === 'rejected');
      assert.ok(failures.length > 0);
      for (const { reason } of failures) assert.ok(isSlipwayError(reason, 'store-unavailable'), reason);
      assert.equal((await store.getRun(id))?.id, id);
      const stored = await store.countRuns({ states: ['submitted'] });
      assert.ok(stored > results.length - failures.length, `${stored} of ${results.length}`);
      assert.equal(workers.length, 2);
    } finally {
      process.off('worker', collect);
    }
  });

  it('has every acknowledged write after kill -9', async () => {
    using directory = createTemporaryDirectory();
    const path = join(directory.path, 'a.db');
    const acknowledged = new Set<string>();
    for (let round = 0; round < 4; round++) {
      const writer = startChild('write-runs.ts', path);
      await writer.lines((round + 1) * 60);
      writer.child.kill('SIGKILL');
      await writer.exited;
      for (const id of writer.completeLines()) acknowledged.add(id);
    }
    assert.ok(acknowledged.size >= 600);
    await using store = await createSqliteStore({ path, clock: systemClock });
    for (const id of acknowledged) {
      assert.ok(isId('run', id));
      assert.equal((await store.getRun(id))?.status.state, 'submitted', id);
    }
  });
});

async function openStore(path: string): Promise<Store> {
  const store = await createSqliteStore({ path, clock: systemClock });
  await store.createPrincipal(principal);
  return store;
}

/** Another connection, as an operator with the sqlite3 shell. */
function edit(path: string, sql: string): void {
  const database = new DatabaseSync(path, { timeout: 5000 });
  database.exec(sql);
  database.close();
}

/** Repeats until it fails, and returns why. */
async function failsAtLast(work: () => Promise<void>): Promise<unknown> {
  for (let i = 0; i < 10_000; i++) {
    try {
      await work();
    } catch (error) {
      return error;
    }
  }
  return assert.fail('it never failed');
}
