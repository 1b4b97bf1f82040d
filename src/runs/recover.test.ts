/** What an engine finds when it starts, and what it leaves when it stops. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { assertFails } from '../../tests/support/assert-fails.ts';
import {
  createEngineBench,
  outcomeOf,
  overrideStore,
  resultOf,
  textOf,
} from '../../tests/support/engine-bench.ts';
import { samplePrincipal, sampleRun } from '../../tests/support/samples.ts';
import {
  exited,
  forever,
  output,
  prepared,
  ScriptedStarter,
  started,
  untilCancelled,
} from '../../tests/support/scripted-starter.ts';
import { SlipwayError } from '../base/errors.ts';
import { encodeLogRecord } from '../model/output-log.ts';
import { isFinished, type RunId } from '../model/run.ts';
import type { Store } from '../store/store.ts';
import { journalPath } from './journal-path.ts';

describe('recovering', () => {
  it('gives every run of a dead engine its true state, and runs none twice', async () => {
    await using bench = await createEngineBench({ idle: true });
    const { store, starter } = bench;
    const ids: RunId[] = [];
    for (let i = 0; i < 4; i++) ids.push((await bench.submit()).id);
    const claim = { holder: 'the dead', limit: 3, now: Date.now(), leaseMs: 3_600_000 };
    const claimed = await store.claimRuns(claim);
    const [ended, running, preparing] = claimed.map((run) => ({ id: run.id, token: 1 }));
    assert.ok(ended && running && preparing);
    for (const write of [ended, running]) await store.startRun({ ...write, at: 1 });
    const outcome = { kind: 'failed', exitCode: 2 } as const;
    const result = { outcome, finishedAt: 2, usage: null, log: null, files: [], skipped: [] };
    const before = await store.finishRun({ ...ended, result });
    const submitted = sampleRun(samplePrincipal({ id: before.principal }));
    await store.submitRun(submitted);
    await bench.engine.start();
    for (const id of [...ids, submitted.id]) await bench.finished(id);
    assert.deepEqual(await store.getRun(ended.id), before);
    assert.equal((await store.getRun(running.id))?.status.state, 'lost');
    assert.equal((await store.getRun(preparing.id))?.attempts, 2);
    const queued = ids.filter((id) => !claimed.some((run) => run.id === id));
    assert.deepEqual(starter.begun.toSorted(), [preparing.id, ...queued, submitted.id].toSorted());
  });

  it('keeps the output of a lost run as far as it had come', async () => {
    await using bench = await createEngineBench({ idle: true });
    const { id } = await bench.submit();
    await bench.store.claimRuns({ holder: 'the dead', limit: 1, now: Date.now(), leaseMs: 3_600_000 });
    await bench.store.startRun({ id, token: 1, at: 1 });
    const journals = join(bench.directory, 'journals');
    mkdirSync(journals);
    const record = encodeLogRecord({ kind: 'output', stream: 'stdout', bytes: Buffer.from('last words') });
    const cut = encodeLogRecord({ kind: 'output', stream: 'stdout', bytes: Buffer.from('never whole') });
    writeFileSync(journalPath(journals, { id, token: 1 }), Buffer.concat([record, cut.subarray(0, 9)]));
    writeFileSync(journalPath(journals, { id, token: 0 }), 'of an older claim');
    writeFileSync(join(journals, 'something else'), '');
    await bench.engine.start();
    const run = await bench.finished(id);
    assert.equal(run.status.state, 'lost');
    assert.equal(textOf(await bench.log(id)), 'last words');
    assert.deepEqual(readdirSync(journals), []);
  });

  it('takes the runs of an engine whose claims lapse, while another lives on', async () => {
    const starter = new ScriptedStarter(untilCancelled);
    const config = { exclusive: false, leaseMs: 400 };
    await using bench = await createEngineBench({ starter, config, idle: true });
    const { store, engine } = bench;
    const [dead, alive] = [await bench.submit(), await bench.submit()];
    await store.claimRuns({ holder: 'the dead', limit: 1, now: Date.now(), leaseMs: 400 });
    await store.startRun({ id: dead.id, token: 1, at: 1 });
    await engine.start();
    await bench.until(alive.id, (run) => run.status.state === 'running');
    assert.equal((await bench.finished(dead.id)).status.state, 'lost');
    const renewals = new Set<number>();
    await bench.until(alive.id, (run) => {
      assert.ok('lease' in run.status);
      return renewals.add(run.status.lease.expiresAt).size >= 4;
    });
    await engine.cancel(alive.id, 'enough');
    assert.equal((await bench.finished(alive.id)).status.state, 'cancelled');
  });

  it('admits a run later whose admission failed', async () => {
    let failures = 1;
    const wrapStore = (store: Store) =>
      overrideStore(store, {
        admitRun: async (id) => {
          if (failures-- > 0) throw new SlipwayError('unavailable', 'store-locked', 'Locked.');
          return await store.admitRun(id);
        },
      });
    await using bench = await createEngineBench({ wrapStore, config: { leaseMs: 150 } });
    const run = await bench.submit();
    assert.equal(run.status.state, 'submitted');
    assert.deepEqual(outcomeOf(await bench.finished(run.id)), { kind: 'succeeded' });
  });
});

describe('stopping', () => {
  it('waits for programs that end in time, and takes no more', async () => {
    const gate = Promise.withResolvers<void>();
    const starter = new ScriptedStarter(async function* () {
      yield prepared;
      yield started;
      await gate.promise;
      yield exited();
    });
    await using bench = await createEngineBench({ starter, config: { concurrency: 1 } });
    const [first, second] = [await bench.submit(), await bench.submit()];
    await bench.until(first.id, (run) => run.status.state === 'running');
    const stopped = bench.engine.stop(20_000);
    await assertFails(bench.submit(), 'engine-stopping');
    gate.resolve();
    await stopped;
    assert.equal((await bench.store.getRun(first.id))?.status.state, 'succeeded');
    assert.equal((await bench.store.getRun(second.id))?.status.state, 'queued');
  });

  it('puts back what has not begun, and cancels what does not end', async () => {
    const starter = new ScriptedStarter((execution) =>
      starter.asked.length === 1 ? untilCancelled(execution) : preparingForEver(execution),
    );
    async function* preparingForEver(execution: Parameters<typeof forever>[0]) {
      yield await forever(execution);
    }
    await using bench = await createEngineBench({ starter });
    const running = await bench.submit();
    await bench.until(running.id, (run) => run.status.state === 'running');
    const preparing = await bench.submit();
    await bench.until(preparing.id, (run) => run.status.state === 'preparing');
    await bench.engine.stop(200);
    const ended = await bench.store.getRun(running.id);
    assert.deepEqual(ended && outcomeOf(ended), { kind: 'cancelled', reason: 'The service is stopping.' });
    assert.equal((await bench.store.getRun(preparing.id))?.status.state, 'queued');
    assert.equal(starter.current, 0);
  });

  it('loses what does not even end when it is cancelled, and says so', async () => {
    const starter = new ScriptedStarter(async function* (execution) {
      yield prepared;
      yield started;
      yield output('still here');
      yield await forever(execution);
    });
    await using bench = await createEngineBench({ starter });
    const { id } = await bench.submit();
    await bench.until(id, (run) => run.status.state === 'running');
    await bench.engine.stop(200);
    const run = await bench.store.getRun(id);
    assert.ok(run && isFinished(run.status));
    assert.equal(outcomeOf(run).kind, 'cancelled');
    assert.equal(textOf(await bench.log(id)), 'still here');
    assert.equal(resultOf(run).usage, null);
  });

  it('lets another engine go on with the queue', async () => {
    await using bench = await createEngineBench({ idle: true });
    const ids: RunId[] = [];
    for (let i = 0; i < 30; i++) ids.push((await bench.submit()).id);
    await bench.engine.start();
    await bench.finished(ids[0] ?? assert.fail());
    await bench.engine.stop(5000);
    const next = bench.another();
    await next.start();
    for (const id of ids)
      assert.deepEqual(outcomeOf(await next.waitFor(id, AbortSignal.timeout(30_000))), { kind: 'succeeded' });
    await next.stop(1000);
    assert.deepEqual(bench.starter.begun.toSorted(), ids.toSorted());
  });
});
