/** attach, list and remove: what another process finds of a starter that is gone. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { SandboxRef } from '../../../src/runtime/driver.ts';
import { assertNothingLeft, findLeftovers } from '../../support/leftovers.ts';
import { drain, patience, readUntil, specOf } from '../../support/run-sandbox.ts';
import { python, type Subject, victimPhases } from './subject.ts';

export function describeRecovery(subject: Subject): void {
  const listed = async (): Promise<SandboxRef[]> => {
    const refs: SandboxRef[] = [];
    for await (const ref of subject().driver.list(patience())) refs.push(ref);
    return refs;
  };
  const names = async () => (await listed()).map((ref) => ref.name).sort();

  describe('recovery', () => {
    test('list names what exists, in every phase, and nothing afterwards', async () => {
      assert.deepEqual(await names(), []);
      const { driver, image } = subject();
      const make = () => driver.create(specOf({ image, argv: python('input()') }), patience());
      const [created, running] = [await make(), await make()];
      await running.start(patience());
      assert.deepEqual(await names(), [created.ref.name, running.ref.name].sort());
      assert.deepEqual(
        (await listed()).find((ref) => ref.name === running.ref.name),
        running.ref,
      );
      await Promise.all([created.destroy(), running.destroy()]);
      assert.deepEqual(await names(), []);
    });

    test('attach finds nothing of what is gone', async () => {
      const { driver, image } = subject();
      const sandbox = await driver.create(specOf({ image, argv: ['true'] }), patience());
      await sandbox.destroy();
      assert.equal(await driver.attach(sandbox.ref, patience()), undefined);
    });

    test('remove of what is not there does nothing, and of what is there destroys it', async () => {
      const { driver, image } = subject();
      const sandbox = await driver.create(specOf({ image, argv: python('input()') }), patience());
      await sandbox.start(patience());
      await driver.remove(JSON.parse(JSON.stringify(sandbox.ref)));
      await driver.remove(sandbox.ref);
      await sandbox.destroy();
      await assertNothingLeft(subject().scope);
    });

    test('remove refuses names that are not of its making', async () => {
      const { driver, scope } = subject();
      for (const name of ['../../etc', 'sw-other-x-y', '', `sw-${scope.install}-../x-y`, '/', '.']) {
        const ref = { driver: driver.name, name, install: scope.install, starter: 'x' };
        await driver.remove(ref).catch(() => undefined); // refusing and doing nothing are both right
      }
      await assertNothingLeft(scope);
    });

    for (const phase of victimPhases.filter((phase) => phase !== 'destroyed')) {
      test(`after SIGKILL of the starter with a sandbox that was ${phase}: found, and removed without a trace`, async () => {
        const { driver, scope } = subject();
        const victim = await subject().startVictim(phase);
        await victim.kill();
        try {
          assert.deepEqual(await names(), [victim.ref.name]);
          if (!driver.capabilities.attach)
            assert.equal(await driver.attach(victim.ref, patience()), undefined);
          assert.notDeepEqual(await findLeftovers(scope), [], 'there was something to remove');
        } finally {
          await Promise.all([driver.remove(victim.ref), driver.remove(victim.ref)]);
        }
        assert.deepEqual(await names(), []);
        await assertNothingLeft(scope);
      });
    }

    test('after SIGKILL of a starter without a sandbox: the next sweep removes what it kept ready', async () => {
      const { driver, scope } = subject();
      const victim = await subject().startVictim('destroyed');
      await victim.kill();
      assert.deepEqual(await names(), []);
      await driver.remove(victim.ref);
      await assertNothingLeft(scope);
    });

    test('a runtime that is killed under a running sandbox: lost, all dead, nothing left', async () => {
      const { driver, image, scope } = subject();
      const argv = python('print("begun", flush=True)\nimport time\ntime.sleep(600)');
      const sandbox = await driver.create(specOf({ image, argv, streams: 'merged' }), patience());
      await sandbox.start(patience());
      const logs = sandbox.logs(patience())[Symbol.asyncIterator]();
      await readUntil(logs, 'begun');
      await subject().killRuntime(sandbox.ref);
      await drain(logs);
      assert.equal((await sandbox.wait(patience())).kind, 'lost');
      assert.deepEqual(await subject().pidsOf(sandbox.ref), []);
      await sandbox.destroy();
      await assertNothingLeft(scope);
    });

    test('the sandboxes of a living starter are not touched by the removal of others', async () => {
      const { driver, image } = subject();
      await using mine = await driver.create(specOf({ image, argv: python('print(input())') }), patience());
      await mine.start(patience());
      const victim = await subject().startVictim('running');
      await victim.kill();
      await driver.remove(victim.ref);
      mine.stdin.end('alive\n');
      let text = '';
      for await (const chunk of mine.logs(patience())) text += Buffer.from(chunk.bytes).toString();
      assert.equal(text, 'alive\n');
    });
  });
}
