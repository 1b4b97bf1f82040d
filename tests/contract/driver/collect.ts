/** collect: plain files that match, within the limits; everything else named as skipped, nothing followed. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isSlipwayError } from '../../../src/base/errors.ts';
import { collectAll, endStdin, patience, readLogs, specOf } from '../../support/run-sandbox.ts';
import { python, runPython, type Subject } from './subject.ts';

const mib = 1024 * 1024;

export function describeCollect(subject: Subject): void {
  describe('collect', () => {
    test('patterns choose', async () => {
      const source = `
import os
for name in ("a.png", "b.txt", "sub/c.png", "sub/deep/d.png", ".hidden.png"):
    os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
    open(name, "w").write(name)`;
      const chosen = async (...patterns: string[]) => {
        const { files } = await runPython(subject, source, { collect: { patterns } });
        return files.map((file) => file.path).sort();
      };
      assert.deepEqual(await chosen('*.png'), ['.hidden.png', 'a.png']);
      assert.deepEqual(await chosen('**/*.png'), ['.hidden.png', 'a.png', 'sub/c.png', 'sub/deep/d.png']);
      assert.deepEqual(await chosen('sub/**'), ['sub/c.png', 'sub/deep/d.png']);
      assert.deepEqual(await chosen('b.txt', 'sub/*'), ['b.txt', 'sub/c.png']);
      assert.deepEqual(await chosen('nothing*'), []);
      for (const outside of ['../*', '/etc/passwd', '../../etc/**', 'a/../../etc/*']) {
        await assert.rejects(chosen(outside), (error) => isSlipwayError(error), outside);
      }
    });

    test('contents are exact', async () => {
      const source = 'open("all", "wb").write(bytes(range(256)) * 40_000); open("empty", "w").close()';
      const { files } = await runPython(subject, source);
      const all = files.find((file) => file.path === 'all')?.bytes;
      assert.equal(all?.length, 256 * 40_000);
      assert.ok(all.every((value, index) => value === index % 256));
      assert.equal(files.find((file) => file.path === 'empty')?.bytes.length, 0);
    });

    test('links, FIFOs, sockets and whiteouts are skipped with a reason, never followed or opened', async () => {
      const source = `
import os, socket, ctypes
os.symlink("/etc/passwd", "absolute")
os.symlink("../../../../etc/shadow", "dots")
os.symlink("/proc/self/root/etc/passwd", "proc")
os.symlink(".", "loop")
os.symlink("/etc", "directory")
os.mkdir("real"); open("real/file", "w").write("real")
os.symlink("real", "to-real")
os.mkfifo("fifo")
socket.socket(socket.AF_UNIX).bind("socket")
open("w", "w").close()
ctypes.CDLL(None).syscall(316, -100, b"w", -100, b"moved", 4)
if os.path.exists("w") and os.path.exists("moved"): print("whiteout")
open("kept", "w").write("kept")`;
      const { files, skipped, stderr } = await runPython(subject, source);
      assert.equal(stderr.toString(), '');
      const bytes = Object.fromEntries(files.map((file) => [file.path, file.bytes.toString()]));
      assert.equal(bytes['kept'], 'kept');
      assert.equal(bytes['real/file'], 'real');
      const names = Object.keys(bytes).filter((name) => !['w', 'moved'].includes(name));
      assert.deepEqual(names.sort(), ['kept', 'real/file']);
      const reasons = Object.fromEntries(skipped.map((entry) => [entry.path, entry.reason]));
      for (const name of ['absolute', 'dots', 'proc', 'loop', 'directory', 'to-real', 'fifo', 'socket']) {
        assert.ok(reasons[name], `${name} in ${JSON.stringify(reasons)}`);
      }
    });

    test('hard links are files of their own', async () => {
      const { files } = await runPython(subject, 'import os; open("a", "w").write("x"); os.link("a", "b")');
      assert.deepEqual(files.map((file) => `${file.path}=${file.bytes}`).sort(), ['a=x', 'b=x']);
    });

    test('files and directories of mode 0 are collected: the outside is not bound by them', async () => {
      const source = `
import os
os.mkdir("d"); open("d/in", "w").write("in"); open("f", "w").write("f")
os.chmod("d/in", 0); os.chmod("d", 0); os.chmod("f", 0)`;
      const { files } = await runPython(subject, source);
      assert.deepEqual(files.map((file) => `${file.path}=${file.bytes}`).sort(), ['d/in=in', 'f=f']);
    });

    test('no more files than the limit, and the rest is told', async () => {
      const source = 'for i in range(100): open(f"f{i:03}", "w").write("x")';
      const { files, skipped } = await runPython(subject, source, { collect: { maxFiles: 10 } });
      assert.equal(files.length, 10);
      assert.ok(skipped.length > 0);
      assert.match(skipped.map((entry) => entry.reason).join(), /10|limit|files/);
    });

    test('no more bytes than the limit', async () => {
      const source = 'for i in range(10): open(f"f{i}", "wb").write(bytes(1 << 20))';
      const { files, skipped } = await runPython(subject, source, { collect: { maxBytes: 3 * mib } });
      assert.ok(files.reduce((sum, file) => sum + file.bytes.length, 0) <= 3 * mib);
      assert.ok(files.length >= 2);
      assert.ok(skipped.length >= 1);
    });

    test('a sparse file of 1 TiB is skipped, and not read', async () => {
      const source =
        'import os; open("huge", "w").close(); os.truncate("huge", 1 << 40); open("a", "w").write("a")';
      const { files, skipped, stderr } = await runPython(subject, source);
      assert.equal(stderr.toString(), '');
      assert.deepEqual(
        files.map((file) => file.path),
        ['a'],
      );
      assert.deepEqual(
        skipped.map((entry) => entry.path),
        ['huge'],
      );
    });

    test('odd names: text as it is, bytes that are no text skipped or shown, none of them lost', async () => {
      const source = `
import os
for name in (b"two\\nlines", b"$(id)", b"-rf", b" ", b"\\x1b[2J", b"\\xc3\\xa9", b"\\xff\\xfe", b"x" * 255):
    open(name, "wb").write(name)`;
      const { files, skipped, stderr } = await runPython(subject, source);
      assert.equal(stderr.toString(), '');
      const paths = files.map((file) => file.path);
      for (const name of ['two\nlines', '$(id)', '-rf', ' ', 'é', 'x'.repeat(255)]) {
        assert.ok(paths.includes(name), JSON.stringify(name));
        const bytes = files.find((file) => file.path === name)?.bytes.toString();
        assert.equal(bytes, name);
      }
      assert.equal(files.length + skipped.length, 8);
      assert.ok([...paths, ...skipped.map((entry) => entry.path)].every((path) => path.isWellFormed()));
    });

    test('a tree deeper than any path may be', async () => {
      const source = `
import os
for _ in range(3000):
    os.mkdir("d" * 20); os.chdir("d" * 20)
open("bottom", "w").write("x")
os.chdir("/work"); open("top", "w").write("x")`;
      const { files, stderr } = await runPython(subject, source);
      assert.equal(stderr.toString(), '');
      assert.ok(files.some((file) => file.path === 'top'));
    });

    test('ten thousand files and directories', async () => {
      const source = `
import os
for i in range(100):
    os.mkdir(f"d{i}")
    for j in range(100): open(f"d{i}/f{j}", "w").close()`;
      const { files } = await runPython(subject, source, { collect: { maxFiles: 20_000 } });
      assert.equal(files.length, 10_000);
    });

    test('content that is not read does not block the next entry', async () => {
      const { driver, image } = subject();
      const argv = python('for i in range(5): open(f"f{i}", "wb").write(bytes(1 << 20))');
      await using sandbox = await driver.create(specOf({ image, argv }), patience());
      await sandbox.start(patience());
      endStdin(sandbox);
      await readLogs(sandbox);
      await sandbox.wait(patience());
      const paths: string[] = [];
      const rules = { patterns: ['**'], maxFiles: 10, maxBytes: 64 * mib };
      for await (const entry of sandbox.collect(rules, patience())) paths.push(entry.path);
      assert.deepEqual(paths.sort(), ['f0', 'f1', 'f2', 'f3', 'f4']);
      assert.equal((await collectAll(sandbox)).files.length, 5, 'again');
    });

    test('collect before the end of the program is refused', async () => {
      const { driver, image } = subject();
      await using sandbox = await driver.create(specOf({ image, argv: python('input()') }), patience());
      await sandbox.start(patience());
      await assert.rejects(collectAll(sandbox));
    });
  });
}
