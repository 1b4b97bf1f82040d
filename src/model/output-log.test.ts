import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { isSlipwayError } from '../base/errors.ts';
import { encodeLogRecord, type LogRecord, readLogRecords } from './output-log.ts';

const count = fc.nat();
const plain = { noNullPrototype: true };
const anyOutput = {
  kind: fc.constant('output' as const),
  stream: fc.constantFrom('stdout' as const, 'stderr' as const),
  bytes: fc.uint8Array({ maxLength: 50 }).map((bytes) => Buffer.from(bytes)),
};
const anyCut = {
  kind: fc.constant('cut' as const),
  dropped: fc.record({ stdout: count, stderr: count }, plain),
};
const anyRecord: fc.Arbitrary<LogRecord> = fc.oneof(fc.record(anyOutput, plain), fc.record(anyCut, plain));

describe('output log', () => {
  it('reads back what was written, however it is split, without an unfinished record', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(anyRecord),
        fc.array(fc.nat(20)),
        fc.nat(60),
        async (records, sizes, lost) => {
          const encoded = records.map(encodeLogRecord);
          const whole = Buffer.concat(encoded);
          const kept = whole.subarray(0, Math.max(0, whole.length - lost));
          let end = 0;
          const complete = records.filter((_, index) => {
            end += encoded[index]?.length ?? 0;
            return end <= kept.length;
          });
          assert.deepEqual(await Array.fromAsync(readLogRecords(split(kept, sizes))), complete);
        },
      ),
    );
  });

  it('refuses what it did not write', async () => {
    const bad = [
      [7, 0, 0, 0, 0],
      [1, 0xff, 0xff, 0xff, 0xff],
      [255, 0, 0, 0, 2, 0x7b, 0x7d],
      [255, 0, 0, 0, 1, 0x7b],
    ];
    for (const bytes of bad) {
      const read = Array.fromAsync(readLogRecords(split(Buffer.from(bytes), [])));
      await assert.rejects(read, (error) => isSlipwayError(error, 'log-corrupted'), bytes.join());
    }
  });

  it('never fails otherwise on any bytes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 100 }), async (bytes) => {
        try {
          await Array.fromAsync(readLogRecords(split(Buffer.from(bytes), [])));
        } catch (error) {
          assert.ok(isSlipwayError(error, 'log-corrupted'));
        }
      }),
    );
  });
});

async function* split(bytes: Buffer, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  let at = 0;
  for (const size of sizes) {
    yield bytes.subarray(at, at + size);
    at += size;
  }
  yield bytes.subarray(at);
}
