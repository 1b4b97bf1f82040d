/** Programs that try to outlive their sandbox, to prolong it, or to reach processes that are not theirs. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { drain, patience, readUntil } from '../support/run-sandbox.ts';
import { runOutside } from './programs.ts';
import { createStage } from './stage.ts';

describe('survivors', () => {
  const stage = createStage();

  for (const name of ['daemon_silent', 'daemon_with_output', 'many_daemons']) {
    test(`${name}: the run ends with its parent, and so does the child`, async () => {
      const { status, stdout } = await stage.attack('survivors', [name]);
      assert.ok(status.kind === 'exited' && status.code === 0, JSON.stringify(status));
      assert.equal(stdout.toString(), 'parent ends\n');
    });
  }

  for (const name of ['ignoring_parent', 'stopped']) {
    test(`${name}: SIGKILL after the grace ends all`, async () => {
      await using sandbox = await stage.launch('survivors', [name]);
      const logs = sandbox.logs(patience())[Symbol.asyncIterator]();
      await readUntil(logs, 'begun');
      await Promise.all([sandbox.stop(100), drain(logs)]);
      const status = await sandbox.wait(patience());
      assert.ok(status.kind === 'signaled' && status.signal === 'SIGKILL', JSON.stringify(status));
      await sandbox.destroy();
      await stage.assertUnharmed();
    });
  }

  test('a program that closes its output is not at its end', async () => {
    const { status, stdout } = await stage.attack('survivors', ['closed_output']);
    assert.equal(stdout.toString(), 'before\n');
    assert.ok(status.kind === 'exited' && status.code === 7, JSON.stringify(status));
    assert.ok(status.usage.wallMs >= 500);
  });

  test('kill(-1) and kill of pid 1 reach nobody else', async () => {
    await using bystander = await stage.launch('survivors', ['ignoring_parent']);
    const logs = bystander.logs(patience())[Symbol.asyncIterator]();
    await readUntil(logs, 'begun');
    for (const name of ['kill_everyone', 'kill_numbers']) {
      const { status, stdout } = await stage.run('survivors', [name]);
      assert.match(stdout.toString(), /alone|0/);
      assert.equal(status.kind, 'exited');
    }
    assert.equal((await stage.subject().pidsOf(bystander.ref)).length, 1);
    await bystander.destroy();
    await stage.assertUnharmed();
  });

  test('outside, in a scratch process namespace, kill(-1) reaches all', async () => {
    const { code, signal, stdout } = await runOutside('survivors', 'kill_everyone');
    assert.equal(stdout, 'alone\n');
    assert.equal(signal ?? code, 3);
  });
});
