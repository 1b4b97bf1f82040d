/** create, start, wait, stop, destroy: in order, out of order, twice, and at once. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { describe, test } from 'node:test';
import { isSlipwayError } from '../../../src/base/errors.ts';
import type { Sandbox } from '../../../src/runtime/driver.ts';
import { assertNothingLeft } from '../../support/leftovers.ts';
import {
  collectAll,
  drain,
  endStdin,
  inputFile,
  inputs,
  patience,
  readLogs,
  readUntil,
  sandboxId,
  specOf,
} from '../../support/run-sandbox.ts';
import { python, type Subject } from './subject.ts';

const forever = python('print("begun", flush=True)\nimport signal\nsignal.pause()');

export function describeLifeCycle(subject: Subject): void {
  const create = (argv: readonly string[] = forever): Promise<Sandbox> =>
    subject().driver.create(specOf({ image: subject().image, argv, streams: 'merged' }), patience());
  const nothingLeft = () => assertNothingLeft(subject().scope);

  describe('life cycle', () => {
    test('one life in order', async () => {
      const sandbox = await create(python('open("/work/a", "w").write("b"); print("hello")'));
      await sandbox.supply(inputs({ 'x.txt': 'x' }), patience());
      await sandbox.start(patience());
      endStdin(sandbox);
      assert.equal((await readLogs(sandbox)).stdout.toString(), 'hello\n');
      assert.equal((await sandbox.wait(patience())).kind, 'exited');
      assert.deepEqual(
        (await collectAll(sandbox)).files.map((file) => file.path),
        ['a'],
      );
      await sandbox.destroy();
      await nothingLeft();
    });

    test('the reference is plain JSON and names the install', async () => {
      await using sandbox = await create();
      const { ref } = sandbox;
      assert.deepEqual(JSON.parse(JSON.stringify(ref)), ref);
      assert.equal(ref.driver, subject().driver.name);
      assert.equal(ref.install, subject().scope.install);
      assert.match(ref.name, new RegExp(`^sw-${ref.install}-${ref.starter}-[0-9a-z]+$`));
    });

    test('create runs no user code', async () => {
      await using sandbox = await create();
      assert.deepEqual(await subject().pidsOf(sandbox.ref), []);
    });

    test('destroy without start leaves nothing', async () => {
      const sandbox = await create();
      await sandbox.destroy();
      await nothingLeft();
    });

    test('destroy after supply without start leaves nothing', async () => {
      const sandbox = await create();
      await sandbox.supply(inputs({ 'a/b.txt': 'x' }), patience());
      await sandbox.destroy();
      await nothingLeft();
    });

    test('destroy twice, and ten times at once', async () => {
      const sandbox = await create();
      await sandbox.start(patience());
      await Promise.all(Array.from({ length: 10 }, () => sandbox.destroy()));
      await sandbox.destroy();
      await nothingLeft();
    });

    test('destroy while start is under way', async () => {
      const sandbox = await create();
      const started = sandbox.start(patience()).catch(() => 'refused');
      await sandbox.destroy();
      await started;
      await nothingLeft();
    });

    test('destroy right after start', async () => {
      const sandbox = await create();
      await sandbox.start(patience());
      await sandbox.destroy();
      await nothingLeft();
    });

    test('destroy while supply is under way', async () => {
      const sandbox = await create();
      let beginDestroy = () => {};
      const begun = new Promise<void>((resolve) => {
        beginDestroy = resolve;
      });
      async function* files() {
        yield inputFile('first', Buffer.alloc(1 << 20));
        beginDestroy();
        for (let i = 0; i < 200; i++) yield inputFile(`more/${i}`, Buffer.alloc(1024));
      }
      const supplied = sandbox.supply(files(), patience()).catch(() => 'refused');
      await begun;
      await sandbox.destroy();
      await supplied;
      await nothingLeft();
    });

    test('destroy during the run ends wait and logs', async () => {
      const sandbox = await create();
      await sandbox.start(patience());
      const logs = sandbox.logs(patience())[Symbol.asyncIterator]();
      await readUntil(logs, 'begun');
      const [status] = await Promise.all([settled(sandbox.wait(patience())), drain(logs), sandbox.destroy()]);
      assert.ok(status === 'rejected' || ['signaled', 'lost'].includes(status), status);
      await nothingLeft();
    });

    test('destroy during collect leaves nothing', async () => {
      const sandbox = await create(python('for i in range(50): open(f"/work/{i}", "w").write("x" * 10000)'));
      await sandbox.start(patience());
      endStdin(sandbox);
      await readLogs(sandbox);
      await sandbox.wait(patience());
      const entries = sandbox.collect({ patterns: ['**'], maxFiles: 100, maxBytes: 1 << 24 }, patience());
      const iterator = entries[Symbol.asyncIterator]();
      assert.equal((await iterator.next()).done, false);
      await Promise.all([sandbox.destroy(), Promise.resolve(iterator.return?.()).catch(() => undefined)]);
      await nothingLeft();
    });

    test('a collect that is given up in the middle leaves nothing', async () => {
      const sandbox = await create(python('for i in range(50): open(f"/work/{i}", "w").write("x" * 10000)'));
      await sandbox.start(patience());
      endStdin(sandbox);
      await readLogs(sandbox);
      await sandbox.wait(patience());
      const rules = { patterns: ['**'], maxFiles: 100, maxBytes: 1 << 24 };
      for await (const _ of sandbox.collect(rules, patience())) break;
      await sandbox.destroy();
      await nothingLeft();
    });

    test('wait many times, at once and afterwards, gives one answer', async () => {
      await using sandbox = await create(python('raise SystemExit(3)'));
      await sandbox.start(patience());
      const many = [sandbox.wait(patience()), sandbox.wait(patience())];
      await readLogs(sandbox);
      const all = [...(await Promise.all(many)), await sandbox.wait(patience())];
      for (const status of all) assert.deepEqual(status, all[0]);
    });

    test('a signal ends the waiting, not the program', async () => {
      await using sandbox = await create(python('print("begun", flush=True)\ninput()\nprint("read")'));
      await sandbox.start(patience());
      const giveUp = new AbortController();
      const waiting = sandbox.wait(giveUp.signal);
      const logs = sandbox.logs(patience())[Symbol.asyncIterator]();
      await readUntil(logs, 'begun');
      giveUp.abort();
      await assert.rejects(waiting);
      endStdin(sandbox, 'line\n');
      assert.equal((await drain(logs)).trim(), 'read');
      const status = await sandbox.wait(patience());
      assert.ok(status.kind === 'exited' && status.code === 0, JSON.stringify(status));
    });

    test('create with an aborted signal makes nothing', async () => {
      const spec = specOf({ image: subject().image, argv: forever });
      await assert.rejects(subject().driver.create(spec, AbortSignal.abort()));
      await nothingLeft();
    });

    test('create that is aborted at any moment makes nothing or all', async () => {
      for (const delayMs of [0, 1, 2, 4, 8, 16, 32]) {
        const spec = specOf({ image: subject().image, argv: forever });
        const made = await subject()
          .driver.create(spec, AbortSignal.timeout(delayMs))
          .catch(() => undefined);
        await made?.destroy();
      }
      await nothingLeft();
    });

    test('one id cannot be used by two sandboxes at once', async () => {
      const spec = { ...specOf({ image: subject().image, argv: forever }), id: sandboxId() };
      await using first = await subject().driver.create(spec, patience());
      await assert.rejects(subject().driver.create(spec, patience()));
      await first.start(patience());
      const logs = first.logs(patience())[Symbol.asyncIterator]();
      await readUntil(logs, 'begun');
    });

    test('an id that is no name is refused', async () => {
      for (const id of ['', '../x', 'A', 'a-b', 'a b', 'x'.repeat(33), 'é']) {
        const spec = { ...specOf({ image: subject().image, argv: forever }), id };
        await assert.rejects(subject().driver.create(spec, patience()), (error) => isSlipwayError(error), id);
      }
      await nothingLeft();
    });

    test('many lives leave no descriptor and no listener in this process', async () => {
      const live = async () => {
        await using sandbox = await create(python('print(1)'));
        await sandbox.start(patience());
        endStdin(sandbox);
        await readLogs(sandbox);
      };
      await live();
      const before = readdirSync('/proc/self/fd').length;
      for (let i = 0; i < 20; i++) await live();
      assert.ok(readdirSync('/proc/self/fd').length <= before + 2);
    });

    test('twenty sandboxes at once do not meet', async () => {
      const lives = Array.from({ length: 20 }, async (_, index) => {
        await using sandbox = await create(python(`print(${index})`));
        await sandbox.start(patience());
        endStdin(sandbox);
        return (await readLogs(sandbox)).stdout.toString().trim();
      });
      assert.deepEqual(
        await Promise.all(lives),
        lives.map((_, index) => String(index)),
      );
      await nothingLeft();
    });
  });
}

function settled(waiting: Promise<{ kind: string }>): Promise<string> {
  return waiting.then(
    (status) => status.kind,
    () => 'rejected',
  );
}
