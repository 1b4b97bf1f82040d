import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PreviewBuilder } from './output-preview.ts';

test('keeps the end of each stream, whole characters, and counts everything', () => {
  const preview = new PreviewBuilder(8);
  for (let count = 0; count < 1000; count++) {
    preview.add({ kind: 'output', stream: 'stdout', bytes: Buffer.from('abcdé') });
  }
  preview.add({ kind: 'output', stream: 'stderr', bytes: Buffer.from('12345678') });
  assert.deepEqual(preview.build(), {
    stdout: 'éabcdé',
    stderr: '12345678',
    stdoutBytes: 6000,
    stderrBytes: 8,
    truncated: true,
  });
});

test('half a character at the front is left out, bytes that are none are shown', () => {
  const preview = new PreviewBuilder(3);
  preview.add({ kind: 'output', stream: 'stdout', bytes: Buffer.from('xéab') });
  assert.equal(preview.build().stdout, 'ab');
  const whole = new PreviewBuilder(3);
  whole.add({ kind: 'output', stream: 'stdout', bytes: Buffer.from([0x80, 0x61]) });
  assert.deepEqual([whole.build().stdout, whole.build().truncated], ['\ufffda', false]);
});

test('nothing before a cut belongs to the end', () => {
  const preview = new PreviewBuilder(100);
  preview.add({ kind: 'output', stream: 'stdout', bytes: Buffer.from('head') });
  preview.add({ kind: 'cut', dropped: { stdout: 1000, stderr: 0 } });
  preview.add({ kind: 'output', stream: 'stdout', bytes: Buffer.from('tail') });
  assert.deepEqual(preview.build(), {
    stdout: 'tail',
    stderr: '',
    stdoutBytes: 1008,
    stderrBytes: 0,
    truncated: true,
  });
});
