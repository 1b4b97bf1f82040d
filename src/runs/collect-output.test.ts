import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createSmallDisk } from '../../tests/support/small-disk.ts';
import { createTemporaryDirectory } from '../../tests/support/temporary-directory.ts';
import { type LogRecord, readLogRecords } from '../model/output-log.ts';
import type { StreamName } from '../model/program.ts';
import { OutputCollector } from './collect-output.ts';

interface Piece {
  readonly stream: StreamName;
  readonly bytes: Uint8Array;
}

const logger = { info: () => undefined, warn: () => undefined, error: () => undefined };
const never = new AbortController().signal;

const anyPiece = fc.record<Piece>({
  stream: fc.constantFrom('stdout', 'stderr'),
  bytes: fc.uint8Array({ maxLength: 40 }),
});

describe('output collector', () => {
  it('keeps head and tail byte by byte as the simple reference does', async () => {
    using directory = createTemporaryDirectory();
    const anyOutput = fc.array(anyPiece, { maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(anyOutput, fc.integer({ min: 0, max: 200 }), async (pieces, keptBytes) => {
        const records = await collect(directory.path, pieces, keptBytes);
        assert.deepEqual(flatten(records), reference(pieces, keptBytes));
      }),
      { numRuns: 300 },
    );
    assert.deepEqual(readdirSync(directory.path), []);
  });

  it('shows at every moment a beginning of what will be stored', async () => {
    using directory = createTemporaryDirectory();
    await fc.assert(
      fc.asyncProperty(fc.array(anyPiece, { maxLength: 20 }), fc.nat(100), async (pieces, keptBytes) => {
        await using collector = createCollector(directory.path, keptBytes);
        const seen: Buffer[] = [];
        for (const { stream, bytes } of pieces) {
          await collector.write(stream, bytes, never);
          seen.push(await readAll(collector));
        }
        await collector.end(never);
        const whole = await readAll(collector);
        for (const moment of seen) assert.deepEqual(moment, whole.subarray(0, moment.length));
      }),
      { numRuns: 50 },
    );
  });

  it('keeps the tail of an output many times its size', async () => {
    using directory = createTemporaryDirectory();
    await using collector = createCollector(directory.path, 4000);
    for (let i = 0; i < 100_000; i += 100) {
      const bytes = Buffer.from(Array.from({ length: 100 }, (_, k) => Math.floor((i + k) / 1000) % 256));
      await collector.write(i % 200 ? 'stdout' : 'stderr', bytes, never);
    }
    await collector.end(never);
    const records = await Array.fromAsync(readLogRecords(collector.read()));
    const cut = records.find((record) => record.kind === 'cut');
    assert.deepEqual(cut?.dropped, { stdout: 48_000, stderr: 48_000 });
    const tail = records.slice(records.findIndex((record) => record.kind === 'cut') + 1);
    assert.deepEqual(bytesOf(tail), Array(1000).fill(99));
  });

  it('holds the program while the disk is full, and loses nothing', async () => {
    using disk = createSmallDisk(256 * 1024);
    const freed = Promise.withResolvers<void>();
    const warned: string[] = [];
    const warn = (_: object, message: string) => {
      warned.push(message);
      disk.free();
      freed.resolve();
    };
    const options = { path: join(disk.path, 'journal'), keptBytes: 400_000, onGrown: () => undefined };
    await using collector = new OutputCollector({ ...options, logger: { ...logger, warn } });
    await collector.write('stdout', Buffer.alloc(1000, 1), never);
    disk.fill();
    await collector.write('stdout', Buffer.alloc(100_000, 2), never);
    await freed.promise;
    await collector.end(never);
    const bytes = bytesOf(await Array.fromAsync(readLogRecords(collector.read())));
    assert.deepEqual(bytes, [...Array(1000).fill(1), ...Array(100_000).fill(2)]);
    assert.equal(warned.length, 1);
  });

  it('gives up waiting for the disk when it is told to', async () => {
    using disk = createSmallDisk(64 * 1024);
    const options = { path: join(disk.path, 'journal'), keptBytes: 400_000, onGrown: () => undefined };
    const told = new AbortController();
    const warn = () => told.abort();
    await using collector = new OutputCollector({ ...options, logger: { ...logger, warn } });
    await assert.rejects(collector.write('stdout', Buffer.alloc(100_000), told.signal), { code: 'ENOSPC' });
  });
});

function createCollector(directory: string, keptBytes: number): OutputCollector {
  const path = join(directory, 'journal');
  return new OutputCollector({ path, keptBytes, onGrown: () => undefined, logger });
}

async function collect(directory: string, pieces: readonly Piece[], keptBytes: number): Promise<LogRecord[]> {
  await using collector = createCollector(directory, keptBytes);
  for (const { stream, bytes } of pieces) await collector.write(stream, bytes, never);
  await collector.end(never);
  const records = await Array.fromAsync(readLogRecords(collector.read()));
  await collector.remove();
  return records;
}

async function readAll(collector: OutputCollector): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(collector.read()));
}

type Item = { readonly stream: StreamName; readonly byte: number };
type Cut = { readonly cut: Readonly<Record<StreamName, number>> };

/** What should be kept, computed with everything in memory. */
function reference(pieces: readonly Piece[], keptBytes: number): (Item | Cut)[] {
  const all = pieces.flatMap(({ stream, bytes }) => [...bytes].map((byte): Item => ({ stream, byte })));
  if (all.length <= keptBytes) return all;
  const tail = Math.floor(keptBytes / 4);
  const dropped = all.slice(keptBytes - tail, all.length - tail);
  const count = (stream: StreamName) => dropped.filter((item) => item.stream === stream).length;
  const cut = { stdout: count('stdout'), stderr: count('stderr') };
  return [...all.slice(0, keptBytes - tail), { cut }, ...all.slice(all.length - tail)];
}

function flatten(records: readonly LogRecord[]): (Item | Cut)[] {
  return records.flatMap((record): (Item | Cut)[] => {
    if (record.kind === 'cut') return [{ cut: { ...record.dropped } }];
    return [...record.bytes].map((byte) => ({ stream: record.stream, byte }));
  });
}

function bytesOf(records: readonly LogRecord[]): number[] {
  return records.flatMap((record) => (record.kind === 'output' ? [...record.bytes] : []));
}
