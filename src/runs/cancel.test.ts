import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createEngineBench, outcomeOf, resultOf, textOf } from '../../tests/support/engine-bench.ts';
import {
  exited,
  forever,
  output,
  prepared,
  type ScriptedExecution,
  ScriptedStarter,
  started,
  untilCancelled,
} from '../../tests/support/scripted-starter.ts';
import type { ExecutionEvent } from '../starter/starter.ts';

const cancelled = { kind: 'cancelled', reason: 'enough' } as const;

describe('cancelling', () => {
  it('ends a queued run that nobody has taken, and never runs it', async () => {
    await using bench = await createEngineBench({ idle: true });
    const { id } = await bench.submit();
    const run = await bench.engine.cancel(id, 'enough');
    assert.deepEqual(outcomeOf(run), cancelled);
    await bench.engine.start();
    await bench.run();
    assert.ok(!bench.starter.asked.includes(id));
  });

  it('ends a run while its sandbox is prepared: no user code runs, the sandbox is destroyed', async () => {
    const asked = Promise.withResolvers<void>();
    const starter = new ScriptedStarter(async function* (execution) {
      asked.resolve();
      yield await forever(execution);
    });
    await using bench = await createEngineBench({ starter });
    const { id } = await bench.submit();
    await asked.promise;
    await bench.engine.cancel(id, 'enough');
    const run = await bench.finished(id);
    assert.deepEqual(outcomeOf(run), cancelled);
    assert.equal(resultOf(run).log, null);
    assert.deepEqual(starter.begun, []);
    assert.equal(starter.current, 0);
  });

  it('lets a running program end in its own time, and keeps what it wrote', async () => {
    const starter = new ScriptedStarter(async function* (execution) {
      yield prepared;
      yield started;
      yield output('before ');
      const reason = await execution.cancelled;
      yield output('after');
      yield exited({ kind: 'cancelled', reason });
    });
    await using bench = await createEngineBench({ starter });
    const { id } = await bench.submit();
    await bench.until(id, (run) => run.status.state === 'running');
    const asked = await bench.engine.cancel(id, 'enough');
    assert.equal(asked.cancelRequested, true);
    assert.deepEqual(outcomeOf(await bench.finished(id)), cancelled);
    assert.equal(textOf(await bench.log(id)), 'before after');
  });

  it('keeps the true outcome of a program that ends by itself first', async () => {
    const starter = new ScriptedStarter(async function* ({ cancelled: told }) {
      yield prepared;
      yield started;
      await told;
      yield exited({ kind: 'failed', exitCode: 7 });
    });
    await using bench = await createEngineBench({ starter });
    const { id } = await bench.submit();
    await bench.until(id, (run) => run.status.state === 'running');
    await bench.engine.cancel(id, 'enough');
    assert.deepEqual(outcomeOf(await bench.finished(id)), { kind: 'failed', exitCode: 7 });
  });

  it('leaves a finished run as it is', async () => {
    await using bench = await createEngineBench();
    const run = await bench.run();
    assert.deepEqual(await bench.engine.cancel(run.id, 'enough'), run);
  });

  it('reaches a run between its claim and its start through the store', async () => {
    const asked = Promise.withResolvers<void>();
    const go = Promise.withResolvers<void>();
    const starter = new ScriptedStarter(async function* () {
      asked.resolve();
      await go.promise;
      yield prepared;
      yield started;
      yield exited();
    });
    await using bench = await createEngineBench({ starter });
    const { id } = await bench.submit();
    await asked.promise;
    await bench.store.cancelRun({ id, reason: 'enough', at: 1 });
    go.resolve();
    assert.deepEqual(outcomeOf(await bench.finished(id)), cancelled);
    assert.deepEqual(starter.begun, []);
  });

  it('reaches a running program of another engine when that renews its claims', async () => {
    const starter = new ScriptedStarter(untilCancelled);
    await using bench = await createEngineBench({ starter, config: { leaseMs: 300, exclusive: false } });
    const { id } = await bench.submit();
    await bench.until(id, (run) => run.status.state === 'running');
    await bench.another().cancel(id, 'enough');
    assert.deepEqual(outcomeOf(await bench.finished(id)), cancelled);
  });

  it('has a true end at every moment of a run', async () => {
    const moments = ['asked', 'prepared', 'started', 'output', 'exited'] as const;
    for (const moment of moments) {
      const reached = Promise.withResolvers<void>();
      const passed = Promise.withResolvers<void>();
      const at = async (here: string) => {
        if (here !== moment) return;
        reached.resolve();
        await passed.promise;
      };
      const starter = new ScriptedStarter((execution) => stepping(execution, at));
      await using bench = await createEngineBench({ starter });
      const { id } = await bench.submit();
      await reached.promise;
      await bench.engine.cancel(id, 'enough');
      passed.resolve();
      const { kind } = outcomeOf(await bench.finished(id));
      assert.equal(kind, moment === 'exited' ? 'succeeded' : 'cancelled', moment);
      assert.equal(starter.begun.length, moment === 'asked' || moment === 'prepared' ? 0 : 1, moment);
    }
  });
});

/** A program that is slow at one point, and cancelled if somebody says so before its end. */
async function* stepping(
  { cancelled: told, permission, signal }: ScriptedExecution,
  at: (moment: string) => Promise<void>,
): AsyncGenerator<ExecutionEvent> {
  let reason: string | undefined;
  told.then(
    (why) => {
      reason = why;
    },
    () => undefined,
  );
  await at('asked');
  signal.throwIfAborted();
  yield* holding(at('prepared'), prepared);
  await permission;
  yield started;
  await at('started');
  yield output('x');
  await at('output');
  yield exited(reason === undefined ? { kind: 'succeeded' } : { kind: 'cancelled', reason });
  await at('exited');
}

async function* holding(moment: Promise<void>, event: ExecutionEvent): AsyncGenerator<ExecutionEvent> {
  await moment;
  yield event;
}
