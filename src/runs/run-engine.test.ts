import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { assertFails } from '../../tests/support/assert-fails.ts';
import {
  createEngineBench,
  outcomeOf,
  readText,
  resultOf,
  textOf,
} from '../../tests/support/engine-bench.ts';
import { sampleDigest, sampleOrder } from '../../tests/support/samples.ts';
import {
  exited,
  file,
  forever,
  output,
  prepared,
  ScriptedStarter,
  sampleUsage,
  started,
  wellBehaved,
} from '../../tests/support/scripted-starter.ts';
import { readBytes } from '../base/bytes.ts';
import { digestOf } from '../base/digest.ts';
import { createId } from '../base/ids.ts';
import type { Outcome, RunId } from '../model/run.ts';

const limits = sampleOrder.limits;

describe('run engine', () => {
  it('runs a program and keeps its outcome, usage, output and files', async () => {
    const script = () =>
      wellBehaved(
        output('out '),
        output(Uint8Array.of(0xff, 0, 0xfe), 'stderr'),
        exited({ kind: 'failed', exitCode: 3 }),
        file('a/plot.png', 'PNG'),
        { type: 'skipped', path: 'fifo', reason: 'is a FIFO' },
        file('b.txt', ''),
      );
    await using bench = await createEngineBench({ starter: new ScriptedStarter(script) });
    const run = await bench.run({ outputs: ['**'] });
    assert.equal(run.status.state, 'failed');
    assert.equal(run.attempts, 1);
    const result = resultOf(run);
    assert.deepEqual(result.usage, sampleUsage);
    assert.deepEqual(result.files, [
      { path: 'a/plot.png', digest: digestOf('PNG'), sizeBytes: 3 },
      { path: 'b.txt', digest: digestOf(''), sizeBytes: 0 },
    ]);
    assert.deepEqual(result.skipped, [{ path: 'fifo', reason: 'is a FIFO' }]);
    assert.equal(await readText(bench.blobs, digestOf('PNG')), 'PNG');
    assert.deepEqual(await bench.log(run.id), [
      { kind: 'output', stream: 'stdout', bytes: Buffer.from('out ') },
      { kind: 'output', stream: 'stderr', bytes: Buffer.of(0xff, 0, 0xfe) },
    ]);
    assert.deepEqual(readdirSync(join(bench.directory, 'journals')), []);
  });

  it('keeps every outcome as the starter tells it', async () => {
    const outcomes: Outcome[] = [
      { kind: 'succeeded' },
      { kind: 'signaled', signal: 'SIGSEGV' },
      { kind: 'timed-out', limitMs: 5 },
      { kind: 'oom-killed', limitBytes: 7 },
      { kind: 'output-limit', limitBytes: 9 },
      { kind: 'lost', reason: 'the host rebooted' },
      { kind: 'platform-error', code: 'x-y', message: 'z' },
    ];
    const starter = new ScriptedStarter();
    await using bench = await createEngineBench({ starter });
    for (const outcome of outcomes) {
      starter.script = () => wellBehaved(exited(outcome));
      assert.deepEqual(outcomeOf(await bench.run()), outcome);
    }
  });

  it('feeds code, inputs and stdin from the blobs, in order', async () => {
    const fed: string[] = [];
    const starter = new ScriptedStarter(async function* ({ feed, order }) {
      for (const files of [feed.code, feed.inputs]) {
        for await (const { path, content } of files) fed.push(`${path}=${await readBytes(content, 100)}`);
      }
      fed.push(`stdin=${await readBytes(feed.stdin, 100)} ${order.stdin}`);
      yield* wellBehaved();
    });
    await using bench = await createEngineBench({ starter });
    const put = async (path: string, text: string) => {
      async function* content() {
        yield Buffer.from(text);
      }
      return { path, ...(await bench.blobs.put(content(), { maxBytes: 100 })) };
    };
    const files = [await put('main.py', 'print()'), await put('lib.py', '')];
    const program = { kind: 'script', entry: 'main.py', files, args: [], env: {}, context: null } as const;
    const inputs = [await put('b', '2'), await put('a', '1')];
    const { digest: stdin } = await put('stdin', 'typed');
    await bench.run({ program: { ...program, streams: 'merged' }, inputs, stdin });
    assert.deepEqual(fed, ['main.py=print()', 'lib.py=', 'b=2', 'a=1', 'stdin=typed true']);
    fed.length = 0;
    await bench.run();
    assert.deepEqual(fed, ['stdin= false']);
  });

  it('refuses an order whose blobs are missing, or of another size, or whose entry is no file', async () => {
    await using bench = await createEngineBench();
    async function* content() {
      yield Buffer.from('four');
    }
    const { digest } = await bench.blobs.put(content(), { maxBytes: 4 });
    const input = { path: 'a', digest, sizeBytes: 4 };
    await assertFails(bench.submit({ stdin: sampleDigest }), 'blob-missing');
    await assertFails(bench.submit({ inputs: [{ ...input, digest: sampleDigest }] }), 'blob-missing');
    await assertFails(bench.submit({ inputs: [{ ...input, sizeBytes: 5 }] }), 'blob-size-mismatch');
    await assertFails(bench.submit({ inputs: [input, input] }), 'bad-path');
    const program = {
      kind: 'script',
      entry: 'no.py',
      files: [input],
      args: [],
      env: {},
      context: null,
    } as const;
    await assertFails(bench.submit({ program: { ...program, streams: 'merged' } }), 'entry-missing');
    assert.deepEqual(bench.starter.asked, []);
  });

  it('knows nothing of an unknown run', async () => {
    await using bench = await createEngineBench();
    const id = createId('run', 1);
    assert.equal(await bench.engine.get(id), undefined);
    await assertFails(bench.engine.cancel(id, 'x'), 'run-not-found');
    await assertFails(bench.engine.waitFor(id, AbortSignal.timeout(1000)), 'run-not-found');
    await assertFails(bench.log(id), 'run-not-found');
  });

  it('runs the oldest first and no more than allowed at once', async () => {
    const gate = Promise.withResolvers<void>();
    const starter = new ScriptedStarter(async function* () {
      await gate.promise;
      yield* wellBehaved();
    });
    let now = 1_000_000;
    const clock = { now: () => now++, elapsed: () => performance.now() };
    await using bench = await createEngineBench({ starter, clock, config: { concurrency: 3 } });
    const ids: RunId[] = [];
    for (let i = 0; i < 20; i++) ids.push((await bench.submit()).id);
    gate.resolve();
    for (const id of ids) assert.deepEqual(outcomeOf(await bench.finished(id)), { kind: 'succeeded' });
    assert.deepEqual(starter.begun.toSorted(), ids.toSorted());
    assert.deepEqual(starter.asked, ids);
    assert.equal(starter.peak, 3);
  });

  it('works off a thousand queued runs, two at a time, in flat memory', async () => {
    const piece = Buffer.alloc(20_000, 'x');
    const starter = new ScriptedStarter(() => wellBehaved(output(piece), output(piece)));
    await using bench = await createEngineBench({ starter });
    const ids: RunId[] = [];
    for (let i = 0; i < 1000; i += 50) {
      const batch = await Promise.all(Array.from({ length: 50 }, () => bench.submit()));
      ids.push(...batch.map((run) => run.id));
    }
    let half = 0;
    for (const [index, id] of ids.entries()) {
      assert.equal(outcomeOf(await bench.finished(id)).kind, 'succeeded');
      if (index === 499) half = heapAfterCollection();
    }
    const grown = heapAfterCollection() - half;
    assert.ok(grown < 3_000_000, `the heap grew by ${grown} bytes while 20 MB went through`);
    assert.equal(starter.peak, 2);
    assert.equal(new Set(starter.begun).size, 1000);
    assert.equal(starter.begun.length, 1000);
  });

  it('does not trust names, numbers and sizes of the files that come out', async () => {
    const events = [
      ...['../up', '/etc/passwd', 'a//b', 'nul\0', ''].map((path) => file(path, 'x')),
      file('same', 'first'),
      file('same', 'second'),
      { ...file('liar', '123456789'), sizeBytes: 1 },
      file('large', '12345678'),
      file('fits', '1'),
      file('one', '2'),
      file('many', '3'),
    ];
    const starter = new ScriptedStarter(() => wellBehaved(exited(), ...events));
    await using bench = await createEngineBench({ starter });
    const run = await bench.run({ outputs: ['**'], limits: { ...limits, resultBytes: 10, resultFiles: 3 } });
    const { files, skipped } = resultOf(run);
    assert.deepEqual(
      files.map((found) => [found.path, found.sizeBytes]),
      [
        ['same', 5],
        ['fits', 1],
        ['one', 1],
      ],
    );
    assert.deepEqual(
      skipped.map((found) => found.path),
      ['../up', '/etc/passwd', 'a//b', 'nul\0', '', 'same', 'liar', 'large', 'many'],
    );
  });

  it('follows live output, and reads the same as what is stored', async () => {
    const gates = Array.from({ length: 3 }, () => Promise.withResolvers<void>());
    const starter = new ScriptedStarter(async function* () {
      yield prepared;
      yield started;
      for (const [index, gate] of gates.entries()) {
        await gate.promise;
        yield output(`line ${index}\n`);
      }
      yield exited();
    });
    await using bench = await createEngineBench({ starter });
    const { id } = await bench.submit();
    const signal = AbortSignal.timeout(30_000);
    const live = bench.engine.readLog(id, { follow: true, signal })[Symbol.asyncIterator]();
    for (const [index, gate] of gates.entries()) {
      gate.resolve();
      const { value } = await live.next();
      assert.equal(value && textOf([value]), `line ${index}\n`);
    }
    assert.equal((await live.next()).done, true);
    assert.equal(textOf(await bench.log(id)), 'line 0\nline 1\nline 2\n');
  });

  it('is not held up by readers that stop reading or go away', async () => {
    const starter = new ScriptedStarter(async function* () {
      yield prepared;
      yield started;
      for (let i = 0; i < 200; i++) yield output(Buffer.alloc(10_000, i % 256));
      yield exited();
    });
    await using bench = await createEngineBench({ starter });
    const { id } = await bench.submit();
    const leaving = new AbortController();
    const read = (signal: AbortSignal) =>
      bench.engine.readLog(id, { follow: true, signal })[Symbol.asyncIterator]();
    const [slow, vanished] = [read(AbortSignal.timeout(30_000)), read(leaving.signal)];
    await slow.next();
    await vanished.next();
    leaving.abort();
    await bench.finished(id);
    assert.equal((await Array.fromAsync({ [Symbol.asyncIterator]: () => vanished })).length < 200, true);
    const rest = await Array.fromAsync({ [Symbol.asyncIterator]: () => slow });
    const bytes = rest.reduce((sum, record) => sum + (record.kind === 'output' ? record.bytes.length : 0), 0);
    assert.equal(bytes, 1_990_000);
  });

  it('answers those who wait, with the run as it is when they have waited enough', async () => {
    const starter = new ScriptedStarter(async function* (execution) {
      yield prepared;
      yield started;
      await forever(execution);
    });
    await using bench = await createEngineBench({ starter });
    const { id } = await bench.submit();
    await bench.until(id, (run) => run.status.state === 'running');
    const waiting = new AbortController();
    const waited = bench.engine.waitFor(id, waiting.signal);
    waiting.abort();
    assert.equal((await waited).status.state, 'running');
    assert.equal(existsSync(join(bench.directory, 'journals')), true);
  });
});

/** Bytes that are still referenced. */
function heapAfterCollection(): number {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
  return process.memoryUsage().heapUsed;
}
