import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readEventStream } from './event-stream.ts';

async function* split(text: string, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text);
  let at = 0;
  for (const size of sizes) {
    yield bytes.subarray(at, at + size);
    at += size;
  }
  yield bytes.subarray(at);
}

const stream = [
  '\ufeffretry: 1000\n\n',
  ': a comment\n\n',
  'id: 1\nevent: output\ndata: {"ä":1}\n\n',
  'data:first\r\ndata: second\r\n\r\n',
  'id: 2\revent: x\rdata\r\r',
  'event: dropped, as it has no data\n\n',
  'unknown: field\ndata: after\n\n',
  'id: 3\ndata: unfinished\n',
].join('');

const expected = [
  { id: '1', event: 'output', data: '{"ä":1}' },
  { id: '1', event: 'message', data: 'first\nsecond' },
  { id: '2', event: 'x', data: '' },
  { id: '2', event: 'message', data: 'after' },
];

test('events are read however the stream is split, without an unfinished one', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(9), { maxLength: 40 }), async (sizes) => {
      assert.deepEqual(await Array.fromAsync(readEventStream(split(stream, sizes))), expected);
    }),
  );
});

test('a stream of anything is read to its end', async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'binary' }), fc.array(fc.nat(9)), async (text, sizes) => {
      await Array.fromAsync(readEventStream(split(text, sizes)));
    }),
  );
});
