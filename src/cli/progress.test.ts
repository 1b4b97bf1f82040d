import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Progress, ProgressOptions } from './progress.ts';
import { createProgress } from './progress.ts';
import { displayWidth, toBarLine, truncate } from './progress-text.ts';
import { createStepProgress, parseStep } from './step-progress.ts';

const clear = '\r\x1b[K';

/** A stream that keeps what is written, and a clock that the test moves together with the timers. */
function createStage(t: TestContext, isTTY: boolean, columns = 100) {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const written: string[] = [];
  let now = 1000;
  const sink = { isTTY, columns, write: (text: string) => void written.push(text) };
  const clock = { now: () => now, elapsed: () => now };
  return {
    sink,
    clock,
    written,
    start: (options: ProgressOptions): Progress => createProgress(sink, options, clock),
    pass(ms: number) {
      for (let left = ms; left > 0; left -= 100) {
        now += Math.min(100, left);
        t.mock.timers.tick(Math.min(100, left));
      }
    },
    /** What the terminal shows now: only our own control sequences are understood. */
    screen: () => written.join('').split(clear).at(-1),
  };
}

test('a bar has amount, total, share, time left and rate, and is gone without a trace', async (t) => {
  const stage = createStage(t, true);
  const progress = stage.start({ title: 'sending data', unit: 'bytes', total: 4_000_000 });
  assert.deepEqual(stage.written, [], 'nothing flickers for short work');
  progress.advance(1_000_000, 'a.csv');
  stage.pass(2100);
  assert.equal(
    stage.screen(),
    'sending data  █████░░░░░░░░░░░░░░░  25%  1 MB of 4 MB  6 s left  476 kB/s  a.csv',
  );
  progress[Symbol.dispose]();
  assert.equal(stage.screen(), '');
  const count = stage.written.length;
  stage.pass(5000);
  assert.equal(stage.written.length, count);
});

test('a bar is drawn at most ten times a second, and again when only time passes', (t) => {
  const stage = createStage(t, true);
  using progress = stage.start({ title: 'x', unit: 'bytes', total: 1e9 });
  for (let n = 0; n < 1000; n++) {
    progress.advance(1000);
    if (n % 100 === 0) stage.pass(100);
  }
  assert.equal(stage.written.length, 10);
  stage.pass(100);
  const before = stage.written.length;
  stage.pass(3000);
  assert.equal(stage.written.length - before, 3);
});

test('the rate is that of the last seconds', (t) => {
  const stage = createStage(t, true);
  using progress = stage.start({ title: 'x', unit: 'bytes', total: 100_000_000 });
  progress.advance(50_000_000);
  stage.pass(10_000);
  for (let n = 0; n < 60; n++) {
    progress.advance(100_000);
    stage.pass(100);
  }
  assert.match(stage.screen() ?? '', / 1 MB\/s$/);
  stage.pass(20_000);
  assert.match(stage.screen() ?? '', / 0 B\/s$/, 'a stall is seen');
});

test('no line is wider than the terminal, whatever the names are', (t) => {
  const names = ['日本語'.repeat(40), '👩‍👩‍👧‍👧'.repeat(30), 'x'.repeat(500), 'e\u0301'.repeat(90)];
  for (const columns of [1, 5, 12, 20, 40, 80, 200]) {
    for (const detail of names) {
      const state = { title: `sending ${detail}`, unit: 'bytes', amount: 5, total: 7, rate: 2 } as const;
      const line = toBarLine({ ...state, detail, elapsedMs: 1000 }, columns);
      assert.ok(displayWidth(line) <= columns, `${columns}: ${line}`);
    }
  }
  const stage = createStage(t, true, 90);
  using progress = stage.start({ title: 'sending', unit: 'bytes', total: 10 });
  progress.advance(5, 'y'.repeat(100));
  stage.pass(200);
  assert.equal(displayWidth(stage.screen() ?? ''), 89, stage.screen());
  assert.equal(truncate('日本語', 5), '日本…');
  assert.equal(truncate('abc', 0), '');
});

test('hostile names are shown escaped', (t) => {
  for (const isTTY of [true, false]) {
    const stage = createStage(t, isTTY, 200);
    using progress = stage.start({ title: 'a\x1b]0;b\x07', unit: 'bytes' });
    progress.advance(1, 'c\n\x1b[2Jd\u202e\r\x9b');
    stage.pass(5000);
    const text = stage.written.join('').replaceAll(clear, '').replaceAll(/\n$/g, '');
    assert.match(text, /a\\x1b\]0;b\\x07/);
    assert.doesNotMatch(text, /[\x00-\x1f\x7f-\x9f\u202e]/);
    t.mock.timers.reset();
  }
});

test('without a terminal a plain line comes every few seconds', (t) => {
  const stage = createStage(t, false);
  const progress = stage.start({ title: 'sending data', unit: 'bytes', total: 4_000_000 });
  progress.advance(1_000_000);
  stage.pass(4900);
  assert.deepEqual(stage.written, []);
  stage.pass(200);
  assert.deepEqual(stage.written, ['sending data: 1 MB of 4 MB, 25%, 15 s left, 200 kB/s\n']);
  progress[Symbol.dispose]();
  assert.equal(stage.written.length, 1);
  t.mock.timers.reset();
  const asked = createStage(t, true);
  using plain = asked.start({ title: 'x', unit: 'bytes', plain: true });
  plain.advance(7);
  asked.pass(5000);
  assert.deepEqual(asked.written, ['x: 7 B, 5 s, 1 B/s\n']);
});

test('the total is found out only if the work takes long', async (t) => {
  const stage = createStage(t, true);
  const measure = t.mock.fn(async () => 1000);
  using progress = stage.start({ title: 'x', unit: 'bytes', measure });
  progress.advance(500);
  assert.equal(measure.mock.callCount(), 0);
  stage.pass(100);
  await Promise.resolve();
  stage.pass(100);
  assert.equal(measure.mock.callCount(), 1);
  assert.match(stage.screen() ?? '', /50% {2}500 B of 1 kB/);
});

test('what is printed in between has a line of its own', (t) => {
  const stage = createStage(t, true);
  using progress = stage.start({ title: 'x', unit: 'bytes' });
  stage.pass(100);
  progress.hide();
  assert.equal(stage.screen(), '');
  stage.pass(100);
  assert.match(stage.screen() ?? '', /^x {2}0 B/);
});

test('the steps of a build are a bar on a terminal, and lines elsewhere', async (t) => {
  const stage = createStage(t, true);
  const steps = createStepProgress(stage.sink, 'building x', stage.clock);
  steps.line('STEP 2/4: RUN pip install');
  steps.line('Collecting\x1b[2J a');
  stage.pass(3100);
  assert.equal(
    stage.screen(),
    'building x  ██████████░░░░░░░░░░  50%  step 2 of 4  3 s  Collecting\\x1b[2J a',
  );
  await steps[Symbol.asyncDispose]();
  assert.equal(stage.screen(), '');
  t.mock.timers.reset();
  const log = createStage(t, false);
  createStepProgress(log.sink, 'building x').line('STEP 1/2: FROM\x07 y');
  assert.deepEqual(log.written, ['STEP 1/2: FROM\\x07 y\n']);
});

test('steps are read where a line begins one', () => {
  assert.deepEqual(parseStep('STEP 3/7: RUN make'), [3, 7]);
  assert.deepEqual(parseStep('[1/2] STEP 3/7: RUN make'), [3, 7]);
  assert.deepEqual(parseStep('unpacking layer 2 of 5'), [2, 5]);
  for (const line of ['STEP 8/7: x', 'STEP 0/0', 'see STEP 3/7', 'COMMIT', '']) {
    assert.equal(parseStep(line), undefined, line);
  }
});
