import assert from 'node:assert/strict';
import { test } from 'node:test';
import vectors from '../../conformance/frames.json' with { type: 'json' };
import { isSlipwayError } from './errors.ts';
import {
  encodeBytesFrame,
  encodeBytesFrames,
  encodeJsonFrame,
  type Frame,
  maxFrameBytes,
  readFrames,
} from './frames.ts';

/** Every frame in `content`, which arrives in pieces of `pieceBytes`. */
async function readAll(content: Buffer, pieceBytes: number): Promise<Frame[]> {
  async function* pieces() {
    for (let at = 0; at < content.length; at += pieceBytes) yield content.subarray(at, at + pieceBytes);
  }
  const frames: Frame[] = [];
  for await (const frame of readFrames(pieces())) frames.push(frame);
  return frames;
}

const reasons: Readonly<Record<string, RegExp>> = {
  'too-large': /over the limit/,
  'unknown-kind': /unknown kind/,
  'not-json': /is not JSON\./,
  'not-object': /not a JSON object/,
  truncated: /ended inside a frame/,
};

type GoodVector = (typeof vectors.good)[number];

function frameOf(vector: GoodVector): Frame {
  if (vector.value !== undefined) return { kind: 'json', value: vector.value };
  return { kind: 'bytes', bytes: Buffer.from(vector.bytesHex, 'hex') };
}

test('the limit is the one of the vectors', () => {
  assert.equal(maxFrameBytes, vectors.maxPayloadBytes);
});

for (const pieceBytes of [1, 7, 1 << 20]) {
  test(`good frames are read, in pieces of ${pieceBytes} bytes`, async () => {
    const content = Buffer.concat(vectors.good.map((vector) => Buffer.from(vector.hex, 'hex')));
    assert.deepEqual(await readAll(content, pieceBytes), vectors.good.map(frameOf));
  });

  for (const vector of vectors.bad) {
    test(`refused, in pieces of ${pieceBytes} bytes: ${vector.name}`, async () => {
      const reason = reasons[vector.reason];
      assert.ok(reason, `no expectation for ${vector.reason}`);
      await assert.rejects(
        readAll(Buffer.from(vector.hex, 'hex'), pieceBytes),
        (error) => isSlipwayError(error, 'bad-frame') && reason.test(error.message),
      );
    });
  }
}

for (const vector of vectors.good.filter((each) => each.canonical)) {
  test(`written as everybody writes it: ${vector.name}`, () => {
    const frame = frameOf(vector);
    const written = frame.kind === 'json' ? encodeJsonFrame(frame.value) : encodeBytesFrame(frame.bytes);
    assert.equal(written.toString('hex'), vector.hex);
  });
}

test('content is split into frames no larger than asked, and nothing is lost', async () => {
  const content = Buffer.from(Array.from({ length: 1000 }, (_, index) => index % 256));
  const frames = await readAll(Buffer.concat([...encodeBytesFrames(content, 300)]), 64);
  const pieces = frames.flatMap((frame) => (frame.kind === 'bytes' ? [Buffer.from(frame.bytes)] : []));
  assert.deepEqual(
    pieces.map((piece) => piece.length),
    [300, 300, 300, 100],
  );
  assert.deepEqual(Buffer.concat(pieces), content);
});

test('a frame over the limit is not written, one of just that size is', () => {
  assert.equal(encodeBytesFrame(new Uint8Array(maxFrameBytes)).length, maxFrameBytes + 5);
  assert.throws(
    () => encodeBytesFrame(new Uint8Array(maxFrameBytes + 1)),
    (error) => isSlipwayError(error, 'bad-frame'),
  );
});
