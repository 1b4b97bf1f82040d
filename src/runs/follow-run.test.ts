import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createEngineBench, type EngineBench } from '../../tests/support/engine-bench.ts';
import {
  exited,
  forever,
  output,
  prepared,
  ScriptedStarter,
  started,
} from '../../tests/support/scripted-starter.ts';
import { isSlipwayError } from '../base/errors.ts';
import type { RunId } from '../model/run.ts';
import { beginning, type RunPlace, type RunUpdate } from './follow-run.ts';

const signal = () => AbortSignal.timeout(30_000);

function follow(bench: EngineBench, id: RunId, after: RunPlace = beginning): AsyncIterable<RunUpdate> {
  return bench.engine.follow(id, { after, signal: signal() });
}

/** What a reader sees: states as words, output as its bytes. */
function seen(updates: readonly RunUpdate[]): string {
  return updates.map(wordOf).join('');
}

function wordOf(update: RunUpdate): string {
  if (update.kind === 'state') return `(${update.run.status.state})`;
  return update.record.kind === 'cut' ? '[cut]' : Buffer.from(update.record.bytes).toString('latin1');
}

describe('following a run', () => {
  it('tells states and output as they come, and ends with the finished run', async () => {
    const gate = Promise.withResolvers<void>();
    const starter = new ScriptedStarter(async function* () {
      yield prepared;
      yield started;
      yield output('one ');
      await gate.promise;
      yield output('two', 'stderr');
      yield exited();
    });
    await using bench = await createEngineBench({ starter });
    const { id } = await bench.submit();
    const updates: RunUpdate[] = [];
    for await (const update of follow(bench, id)) {
      updates.push(update);
      if (update.kind === 'record') gate.resolve();
    }
    assert.match(seen(updates), /^(\((submitted|queued|preparing)\))*\(running\)one two\(succeeded\)$/);
    assert.equal(updates.at(-1)?.place.position, 7);
    assert.equal(seen(await Array.fromAsync(follow(bench, id))), 'one two(succeeded)');
  });

  it('goes on anywhere, without losing or repeating a byte, also inside a record and around a cut', async () => {
    const starter = new ScriptedStarter(async function* () {
      yield prepared;
      yield started;
      for (let n = 0; n < 40; n++)
        yield output(`${n};`.padEnd(1 + (n % 9), 'x'), n % 3 ? 'stdout' : 'stderr');
      yield exited();
    });
    await using bench = await createEngineBench({ starter });
    const limits = { ...(await bench.submit()).order.limits, keptOutputBytes: 100 };
    const { id } = await bench.run({ limits });
    const whole = await Array.fromAsync(follow(bench, id));
    const text = seen(whole).replace('[cut]', '\0');
    const total = whole.at(-1)?.place.position ?? 0;
    assert.equal(text.length, total + '(succeeded)'.length);
    assert.ok(text.includes('\0'));
    await fc.assert(
      fc.asyncProperty(fc.nat(total + 50), async (position) => {
        const rest = await Array.fromAsync(follow(bench, id, { position, state: 'running' }));
        assert.equal(seen(rest).replace('[cut]', '\0'), text.slice(Math.min(position, total)));
      }),
      { numRuns: 60 },
    );
    for (const { place } of whole.slice(0, -1)) {
      const rest = seen(await Array.fromAsync(follow(bench, id, place))).replace('[cut]', '\0');
      assert.equal(rest, text.slice(place.position));
    }
  });

  it('goes on in another engine, where the one before died', async () => {
    const reached = Promise.withResolvers<void>();
    const starter = new ScriptedStarter(async function* (execution) {
      yield prepared;
      yield started;
      yield output('before');
      reached.resolve();
      await forever(execution);
    });
    await using bench = await createEngineBench({ starter });
    const { id } = await bench.submit();
    await reached.promise;
    let place: RunPlace = beginning;
    for await (const update of follow(bench, id)) {
      ({ place } = update);
      if (update.kind === 'record') break;
    }
    const next = bench.another();
    await next.start(); // exclusive: what the other one runs counts as that of a dead one
    const rest = await Array.fromAsync(
      next.follow(id, { after: { ...place, position: 3 }, signal: signal() }),
    );
    assert.equal(seen(rest), 'ore(lost)');
    await next.stop(1000);
  });

  it('ends without an error when the reader has gone, and knows what does not exist', async () => {
    const starter = new ScriptedStarter(async function* (execution) {
      yield prepared;
      yield started;
      await forever(execution);
    });
    await using bench = await createEngineBench({ starter, config: { pollMs: 60_000 } });
    const { id } = await bench.submit();
    const leaving = new AbortController();
    for await (const update of bench.engine.follow(id, { after: beginning, signal: leaving.signal })) {
      if (update.kind === 'state' && update.run.status.state === 'running') leaving.abort();
    }
    const missing = Array.fromAsync(follow(bench, 'run_0'));
    await assert.rejects(missing, (error) => isSlipwayError(error, 'run-not-found'));
  });
});
