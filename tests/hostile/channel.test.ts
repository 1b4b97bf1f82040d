/** A runner that misuses its end of the channel, and what a sandbox can put where the host looks. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { describe, test } from 'node:test';
import type { Sandbox } from '../../src/runtime/driver.ts';
import { drain, endStdin, inputs, patience, readUntil, specOf } from '../support/run-sandbox.ts';
import { inside, programFiles, runOutside } from './programs.ts';
import { createStage } from './stage.ts';

describe('channel', () => {
  const stage = createStage();

  async function launchRunner(argv: readonly string[]): Promise<Sandbox> {
    const { driver, image } = stage.subject();
    const withRunner = { ...image, runner: { protocol: 1, argv, preload: [] } };
    const spec = { ...specOf({ image: withRunner, argv: [] }), use: { kind: 'runner' } as const };
    const sandbox = await driver.create(spec, patience());
    await sandbox.supply(inputs(programFiles), patience());
    await sandbox.start(patience());
    endStdin(sandbox);
    return sandbox;
  }

  test('the other end gives away no process, no file, no namespace, and keeps no descriptor', async () => {
    await using sandbox = await launchRunner(inside('channel'));
    const logs = sandbox.logs(patience())[Symbol.asyncIterator]();
    const channel = sandbox.channel();
    channel.on('error', () => undefined).resume();
    const before = readdirSync('/proc/self/fd').length;
    const answers: Record<string, string> = JSON.parse(await readUntil(logs, '}\n'));
    assert.equal(answers['peer_is_seen'], 'hidden');
    for (const name of ['signal_to_peer', 'files_of_peer', 'namespaces_of_peer', 'enter_peer']) {
      assert.match(answers[name] ?? '', /^E[A-Z]+$/, name);
    }
    assert.ok(readdirSync('/proc/self/fd').length <= before + 5, 'descriptors arrived here');
    channel.end();
    await drain(logs);
    await sandbox.destroy();
    await stage.assertUnharmed();
  });

  test('the control: outside, between two ends of one process, all of that works', async () => {
    const { stdout } = await runOutside('channel', 'control');
    assert.deepEqual(new Set(Object.values(JSON.parse(stdout))), new Set(['OK']));
  });

  test('a runner that floods the channel waits for its reader', async () => {
    const source = 'import socket\nc = socket.socket(fileno=3)\nwhile True: c.sendall(bytes(1 << 20))';
    await using sandbox = await launchRunner(['python3', '-c', source]);
    const channel = sandbox.channel();
    channel.on('error', () => undefined);
    const before = process.memoryUsage().rss;
    await stage.canary();
    await stage.canary();
    assert.ok(process.memoryUsage().rss - before < 64 * 1024 * 1024);
    await Promise.all([
      sandbox.destroy(),
      drain(sandbox.logs(patience())[Symbol.asyncIterator]()).catch(() => ''),
    ]);
    await stage.assertUnharmed();
  });
});
