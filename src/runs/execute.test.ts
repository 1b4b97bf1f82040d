/** What becomes of a run when the platform fails: at every event, in every way that a starter can misbehave. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  createEngineBench,
  outcomeOf,
  overrideStore,
  resultOf,
  silent,
  textOf,
} from '../../tests/support/engine-bench.ts';
import { sampleOrder } from '../../tests/support/samples.ts';
import {
  exited,
  file,
  forever,
  output,
  prepared,
  ScriptedStarter,
  sampleUsage,
  started,
  starterGone,
  wellBehaved,
} from '../../tests/support/scripted-starter.ts';
import { createSmallDisk } from '../../tests/support/small-disk.ts';
import { SlipwayError } from '../base/errors.ts';
import type { ExecutionEvent } from '../starter/starter.ts';
import type { Store } from '../store/store.ts';

async function* thenFail(events: readonly ExecutionEvent[], error: Error): AsyncGenerator<ExecutionEvent> {
  yield* events;
  throw error;
}

/** A file whose content breaks off in the middle. */
const brokenFile: ExecutionEvent = {
  type: 'file',
  path: 'broken',
  sizeBytes: 100,
  content: (async function* () {
    yield Buffer.from('half');
    throw starterGone();
  })(),
};

describe('executing', () => {
  it('tries again when the starter is away before the program began', async () => {
    let failures = 0;
    const starter = new ScriptedStarter(() => {
      if (failures++ < 2) return thenFail([], starterGone());
      return wellBehaved(output('at last'));
    });
    await using bench = await createEngineBench({ starter });
    const run = await bench.run();
    assert.deepEqual(outcomeOf(run), { kind: 'succeeded' });
    assert.equal(run.attempts, 3);
    assert.equal(starter.begun.length, 1);
    assert.equal(textOf(await bench.log(run.id)), 'at last');
  });

  it('does not try for ever, and ends with the reason of the last attempt', async () => {
    const starter = new ScriptedStarter(() => thenFail([], starterGone()));
    await using bench = await createEngineBench({ starter, config: { maxAttempts: 2 } });
    const run = await bench.run();
    const message = 'The starter cannot be reached.';
    assert.deepEqual(outcomeOf(run), { kind: 'platform-error', code: 'starter-unavailable', message });
    assert.equal(starter.asked.length, 2);
  });

  it('does not try a run for ever that takes its engine down', async () => {
    const starter = new ScriptedStarter();
    await using bench = await createEngineBench({ starter, config: { maxAttempts: 2 }, idle: true });
    const { id } = await bench.submit();
    for (const holder of ['dead', 'dead too']) {
      const claimed = await bench.store.claimRuns({ holder, limit: 1, now: Date.now(), leaseMs: 1000 });
      assert.equal(claimed.length, 1);
      await bench.store.recoverRuns({ holder: 'next', now: Date.now(), exclusive: true });
    }
    await bench.engine.start();
    const outcome = outcomeOf(await bench.finished(id));
    assert.equal(outcome.kind === 'platform-error' && outcome.code, 'too-many-attempts');
    assert.equal(starter.asked.length, 0);
  });

  it('reports a refusal at once, with its code', async () => {
    const refusal = new SlipwayError('unsupported', 'control-missing', 'No seccomp here.');
    const starter = new ScriptedStarter(() => thenFail([], refusal));
    await using bench = await createEngineBench({ starter });
    const run = await bench.run();
    const expected = { kind: 'platform-error', code: 'control-missing', message: 'No seccomp here.' };
    assert.deepEqual(outcomeOf(run), expected);
    assert.equal(starter.asked.length, 1);
    assert.equal(resultOf(run).log, null);
  });

  const afterGo = {
    prepared: [prepared],
    started: [prepared, started],
    output: [prepared, started, output('some')],
  };
  for (const [moment, events] of Object.entries(afterGo)) {
    it(`loses a run whose starter dies after "${moment}", and never runs it again`, async () => {
      const starter = new ScriptedStarter(() => thenFail(events, starterGone()));
      await using bench = await createEngineBench({ starter });
      const run = await bench.run();
      assert.deepEqual(outcomeOf(run), { kind: 'lost', reason: 'The starter cannot be reached.' });
      assert.equal(starter.begun.length, 1);
      assert.equal(resultOf(run).usage, null);
      assert.equal(textOf(await bench.log(run.id)), moment === 'output' ? 'some' : '');
    });
  }

  it('does not call a run lost whose sandbox could not be started', async () => {
    const refusal = new SlipwayError('internal', 'sandbox-failed', 'The runtime is broken.');
    const starter = new ScriptedStarter(() => thenFail([prepared, started], refusal));
    await using bench = await createEngineBench({ starter });
    const expected = { kind: 'platform-error', code: 'sandbox-failed', message: 'The runtime is broken.' };
    assert.deepEqual(outcomeOf(await bench.run()), expected);
    assert.equal(starter.begun.length, 1);
  });

  it('keeps the outcome when the starter dies after the exit, unless files were to come', async () => {
    const starter = new ScriptedStarter(() => thenFail([prepared, started, exited()], starterGone()));
    await using bench = await createEngineBench({ starter });
    assert.deepEqual(outcomeOf(await bench.run()), { kind: 'succeeded' });
    const run = await bench.run({ outputs: ['**'] });
    const outcome = outcomeOf(run);
    assert.equal(outcome.kind === 'platform-error' && outcome.code, 'results-missing');
    assert.deepEqual(resultOf(run).usage, sampleUsage);
  });

  it('says that files are missing when one breaks off, and keeps the others', async () => {
    const starter = new ScriptedStarter(() => wellBehaved(exited(), file('whole', 'w'), brokenFile));
    await using bench = await createEngineBench({ starter });
    const run = await bench.run({ outputs: ['**'] });
    const outcome = outcomeOf(run);
    assert.equal(outcome.kind === 'platform-error' && outcome.code, 'results-missing');
    assert.deepEqual(
      resultOf(run).files.map((found) => found.path),
      ['whole'],
    );
  });

  const misbehaviour: Record<string, readonly ExecutionEvent[]> = {
    'says nothing': [],
    'never prepares': [started],
    'sends output before the start': [prepared, output('x')],
    'sends files before the exit': [prepared, started, file('a', 'b')],
    'never tells the exit': [prepared, started, output('x')],
    'prepares twice': [prepared, prepared],
    'succeeds without a start': [exited()],
  };
  for (const [what, events] of Object.entries(misbehaviour)) {
    it(`finds out a starter that ${what}`, async () => {
      const starter = new ScriptedStarter(async function* () {
        yield* events;
      });
      await using bench = await createEngineBench({ starter });
      const outcome = outcomeOf(await bench.run());
      const begun = starter.begun.length > 0;
      assert.equal(outcome.kind, begun ? 'lost' : 'platform-error');
      if (outcome.kind === 'platform-error') assert.equal(outcome.code, 'starter-misbehaved');
    });
  }

  it('gives up a starter that never prepares, even if it does not listen', async () => {
    const starter = new ScriptedStarter(async function* (execution) {
      await forever(execution);
      yield prepared;
    });
    await using bench = await createEngineBench({ starter, config: { prepareTimeoutMs: 20 } });
    const outcome = outcomeOf(await bench.run());
    assert.equal(outcome.kind === 'platform-error' && outcome.code, 'starter-silent');
  });

  it('gives up a starter that does not tell the end, long after the time limit', async () => {
    const starter = new ScriptedStarter(async function* (execution) {
      yield prepared;
      yield started;
      await forever(execution);
    });
    await using bench = await createEngineBench({ starter, config: { overrunMs: 10 } });
    const outcome = outcomeOf(await bench.run({ limits: { ...sampleOrder.limits, wallTimeMs: 10 } }));
    assert.equal(outcome.kind, 'lost');
  });

  it('does not start a program whose run was taken by somebody else', async () => {
    const asked = Promise.withResolvers<void>();
    const go = Promise.withResolvers<void>();
    const starter = new ScriptedStarter(async function* () {
      asked.resolve();
      await go.promise;
      yield* wellBehaved();
    });
    await using bench = await createEngineBench({ starter, config: { concurrency: 1 } });
    const { id } = await bench.submit();
    await asked.promise;
    const [now, holder] = [Date.now(), 'thief'];
    await bench.store.recoverRuns({ holder, now, exclusive: true });
    const [stolen] = await bench.store.claimRuns({ holder, limit: 1, now, leaseMs: 60_000 });
    assert.equal(stolen?.id, id);
    go.resolve();
    await bench.run();
    assert.ok(!starter.begun.includes(id));
    assert.deepEqual(await bench.store.getRun(id), stolen);
  });

  it('may claim a run again that was taken from it and given back', async () => {
    const firstAsked = Promise.withResolvers<void>();
    const starter = new ScriptedStarter(async function* (execution) {
      if (starter.asked.length === 1) {
        firstAsked.resolve();
        await forever(execution);
      }
      yield* wellBehaved();
    });
    await using bench = await createEngineBench({ starter });
    const { id } = await bench.submit();
    await firstAsked.promise;
    await bench.store.recoverRuns({ holder: 'thief', now: Date.now(), exclusive: true });
    const run = await bench.finished(id);
    assert.deepEqual(outcomeOf(run), { kind: 'succeeded' });
    assert.deepEqual(starter.begun, [id]);
    assert.equal(starter.current, 0);
  });

  it('stores output and end of a run after the disk was full for a while', async () => {
    using disk = createSmallDisk(6 * 1024 * 1024);
    const starter = new ScriptedStarter(async function* () {
      yield prepared;
      yield started;
      yield output('kept');
      disk.fill();
      yield exited({ kind: 'failed', exitCode: 9 });
    });
    const failures: string[] = [];
    const logger = {
      ...silent,
      warn: (_: object, message: string) => {
        failures.push(message.replace(/run_\w+/, 'ID'));
        disk.free();
      },
    };
    let filled = false;
    const wrapStore = (store: Store) =>
      overrideStore(store, {
        finishRun: async (write) => {
          if (!filled) disk.fill();
          filled = true;
          return await store.finishRun(write);
        },
      });
    await using bench = await createEngineBench({ starter, directory: disk.path, logger, wrapStore });
    const run = await bench.run();
    assert.deepEqual(outcomeOf(run), { kind: 'failed', exitCode: 9 });
    assert.equal(textOf(await bench.log(run.id)), 'kept');
    assert.deepEqual(failures, [
      'The output of the run ID cannot be stored: failed, trying again',
      'The end of the run ID cannot be stored: failed, trying again',
    ]);
  });

  it('starts a program once although the answer of the store was lost', async () => {
    let lost = false;
    const wrapStore = (store: Store) =>
      overrideStore(store, {
        startRun: async (write) => {
          const run = await store.startRun(write);
          if (lost) return run;
          lost = true;
          throw new SlipwayError('unavailable', 'store-unavailable', 'The store stopped.');
        },
      });
    await using bench = await createEngineBench({ wrapStore });
    assert.deepEqual(outcomeOf(await bench.run()), { kind: 'succeeded' });
    assert.equal(bench.starter.begun.length, 1);
  });
});
