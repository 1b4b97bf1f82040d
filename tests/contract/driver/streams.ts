/** stdout and stderr byte by byte, their order, their pace, and stdin. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import type { Sandbox } from '../../../src/runtime/driver.ts';
import { endStdin, patience, specOf } from '../../support/run-sandbox.ts';
import { python, runPython, type Subject } from './subject.ts';

const mib = 1024 * 1024;

export function describeStreams(subject: Subject): void {
  describe('streams', () => {
    test('every byte value comes out on both streams as it is', async () => {
      const source = `
import sys
for stream in (sys.stdout, sys.stderr):
    stream.buffer.write(bytes(range(256)) * 300 + b"\\xff\\xc3(\\x00\\xe2\\x82")
    stream.flush()`;
      const { stdout, stderr } = await runPython(subject, source);
      const every = Buffer.from(Array.from({ length: 256 }, (_, value) => value));
      const expected = Buffer.concat([
        ...Array.from({ length: 300 }, () => every),
        Buffer.from('ffc32800e282', 'hex'),
      ]);
      assert.ok(stdout.equals(expected));
      assert.ok(stderr.equals(expected));
    });

    test('100 000 writes of one byte', async () => {
      const source = 'import os\nfor i in range(100_000): os.write(1, b"abcdefghij"[i % 10:i % 10 + 1])';
      const { stdout } = await runPython(subject, source);
      assert.equal(stdout.toString(), 'abcdefghij'.repeat(10_000));
    });

    test('no output at all', async () => {
      const { stdout, stderr, status } = await runPython(subject, '');
      assert.deepEqual([stdout.length, stderr.length, status.kind], [0, 0, 'exited']);
    });

    test('merged keeps the order of 5 000 alternations', async () => {
      const source = `
import os
for i in range(5000):
    os.write(1, b"o%d\\n" % i)
    os.write(2, b"e%d\\n" % i)`;
      const { stdout, stderr } = await runPython(subject, source, { streams: 'merged' });
      const expected = Array.from({ length: 5000 }, (_, i) => `o${i}\ne${i}\n`).join('');
      assert.equal(stdout.toString(), expected);
      assert.equal(stderr.length, 0);
    });

    test('separate keeps each stream exact', async () => {
      const source = `
import os
for i in range(5000):
    os.write(1, b"o%d\\n" % i)
    os.write(2, b"e%d\\n" % i)`;
      const { stdout, stderr } = await runPython(subject, source, { streams: 'separate' });
      assert.equal(stdout.toString(), Array.from({ length: 5000 }, (_, i) => `o${i}\n`).join(''));
      assert.equal(stderr.toString(), Array.from({ length: 5000 }, (_, i) => `e${i}\n`).join(''));
    });

    test('/dev/stdout and /dev/stderr can be opened', async () => {
      const source = 'open("/dev/stdout", "w").write("out"); open("/dev/stderr", "w").write("err")';
      const { stdout, stderr } = await runPython(subject, source);
      assert.deepEqual([stdout.toString(), stderr.toString()], ['out', 'err']);
    });

    test('a reader that waits stops the program; memory stays flat, and nothing is lost', async () => {
      await using sandbox = await start(
        subject,
        'import os\nfor i in range(100): os.write(1, bytes([i]) * (1 << 20))',
      );
      endStdin(sandbox);
      const logs = sandbox.logs(patience())[Symbol.asyncIterator]();
      const first = await logs.next();
      assert.ok(!first.done);
      const before = process.memoryUsage().rss;
      await runPython(subject, 'print(1)'); // time for a driver without a brake to read on
      assert.equal(await Promise.race([sandbox.wait(patience()), Promise.resolve('running')]), 'running');
      const hash = createHash('sha256').update(first.value.bytes);
      let bytes = first.value.bytes.length;
      let peak = 0;
      for (let next = await logs.next(); !next.done; next = await logs.next()) {
        hash.update(next.value.bytes);
        bytes += next.value.bytes.length;
        peak = Math.max(peak, process.memoryUsage().rss - before);
      }
      const expected = createHash('sha256');
      for (let i = 0; i < 100; i++) expected.update(Buffer.alloc(mib, i));
      assert.equal(bytes, 100 * mib);
      assert.equal(hash.digest('hex'), expected.digest('hex'));
      assert.ok(peak < 64 * mib, `${peak} bytes more than before`);
      assert.equal((await sandbox.wait(patience())).kind, 'exited');
    });

    test('output that nobody reads does not keep destroy waiting', async () => {
      const sandbox = await start(subject, 'import os\nwhile True: os.write(1, bytes(65536))');
      await sandbox.destroy();
    });

    test('50 MB without a line end', async () => {
      const source = 'import os\nfor _ in range(50): os.write(1, b"x" * (1 << 20))';
      const { stdout } = await runPython(subject, source);
      assert.equal(stdout.length, 50 * mib);
    });

    test('stdin reaches the program byte by byte, and its end too', async () => {
      const sent = randomBytes(10 * mib);
      const source = `
import sys, shutil
shutil.copyfileobj(sys.stdin.buffer, sys.stdout.buffer)
sys.stderr.write(repr(sys.stdin.buffer.read(1)))`;
      const { stdout, stderr } = await runPython(subject, source, { stdin: sent });
      assert.ok(stdout.equals(sent));
      assert.equal(stderr.toString(), "b''");
    });

    test('a program that never reads a large stdin ends as it wants', async () => {
      const { status } = await runPython(subject, 'raise SystemExit(5)', { stdin: Buffer.alloc(4 * mib) });
      assert.ok(status.kind === 'exited' && status.code === 5);
    });

    test('a stdin that is never ended does not keep the run alive', async () => {
      await using sandbox = await start(subject, 'print("done")');
      let text = '';
      for await (const chunk of sandbox.logs(patience())) text += Buffer.from(chunk.bytes).toString();
      assert.equal(text, 'done\n');
      assert.equal((await sandbox.wait(patience())).kind, 'exited');
    });

    test('only one reader of the logs', async () => {
      await using sandbox = await start(subject, 'print("done")');
      const first = sandbox.logs(patience())[Symbol.asyncIterator]();
      await first.next();
      await assert.rejects(async () => {
        for await (const _ of sandbox.logs(patience())) break;
      });
    });
  });
}

async function start(subject: Subject, source: string): Promise<Sandbox> {
  const { driver, image } = subject();
  const sandbox = await driver.create(specOf({ image, argv: python(source), streams: 'merged' }), patience());
  await sandbox.start(patience());
  return sandbox;
}
