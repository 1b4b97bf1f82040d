/** Two sandboxes at once, of the same image: where they can meet, and what they see of each other and the host. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { drain, patience, readUntil } from '../support/run-sandbox.ts';
import { runAsNobody, runOutside } from './programs.ts';
import { createStage } from './stage.ts';

/** Known and written down in SECURITY.md: locks and watches on a file that all share tell that it is used. */
const documentedChannels = new Set(['flock_on_image_file']);

describe('meeting', () => {
  const stage = createStage();

  test('two sandboxes meet nowhere but where it is documented', async () => {
    await using leaver = await stage.launch('meeting', ['leave']);
    const logs = leaver.logs(patience())[Symbol.asyncIterator]();
    const left: Record<string, string> = JSON.parse(await readUntil(logs, '}\n'));
    await using looker = await stage.launch('meeting', ['look']);
    const met: Record<string, string> = JSON.parse(
      await drain(looker.logs(patience())[Symbol.asyncIterator]()),
    );
    leaver.stdin.end();
    await drain(logs);
    await Promise.all([leaver.destroy(), looker.destroy()]);
    for (const place of ['sysv_shared_memory', 'abstract_socket', 'loopback', 'dev_shm', 'tmp']) {
      assert.equal(left[place], 'left', place);
    }
    const places = Object.keys(met).filter((place) => met[place] === 'met');
    assert.deepEqual(
      places.filter((place) => !documentedChannels.has(place)),
      [],
    );
    await stage.assertUnharmed();
  });

  test('the control: two processes outside meet everywhere', async () => {
    const { stdout } = await runOutside('meeting', 'both');
    const [left = '{}', met = '{}']: string[] = stdout.trim().split('\n');
    assert.deepEqual(new Set(Object.values(JSON.parse(left))), new Set(['left']));
    assert.deepEqual(new Set(Object.values(JSON.parse(met))), new Set(['met']));
  });

  test('nothing is seen of processes, mounts and names of this host or of another sandbox', async () => {
    const marker = `marker-${randomBytes(8).toString('hex')}`;
    const script = 'read line # $0';
    const visible = spawn('sh', ['-c', script, marker], {
      env: { MARK: marker },
      stdio: ['pipe', 'ignore', 'inherit'],
    });
    try {
      await using other = await stage.launch('survivors', ['ignoring_parent'], { env: { MARK: marker } });
      const { stdout } = await stage.run('see');
      await other.destroy();
      const seen = stdout.toString();
      const { scope } = stage.subject();
      for (const secret of [marker, scope.runtimeDir, scope.install])
        assert.ok(!seen.includes(secret), secret);
      const outside = await runAsNobody('see');
      assert.ok(outside.stdout.includes(marker), 'outside it is seen');
    } finally {
      visible.stdin.end();
      await once(visible, 'close');
    }
    await stage.assertUnharmed();
  });

  test('no service of this host is reached', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'slipway-reach-'));
    chmodSync(directory, 0o755);
    const name = `slipway-${randomBytes(8).toString('hex')}`;
    const path = join(directory, 'socket');
    const servers = [listen({ host: '::', port: 0 }), listen({ path }), listen({ path: `\0${name}` })];
    try {
      const [tcp] = await Promise.all(servers.map((server) => once(server, 'listening').then(() => server)));
      chmodSync(path, 0o777);
      const address = tcp?.address();
      assert.ok(typeof address === 'object' && address !== null);
      const hosts = ownAddresses();
      const targets = [
        ...hosts.map((host) => `tcp://${host}:${address.port}`),
        `abstract:${name}`,
        `path:${path}`,
      ];
      const inside = await stage.attack('reach', targets);
      const answers: Record<string, string> = JSON.parse(inside.stdout.toString());
      for (const target of targets) assert.match(answers[target] ?? '', /^E[A-Z]+$/, target);
      const outside = await runAsNobody('reach', ...targets);
      const controls: Record<string, string> = JSON.parse(outside.stdout);
      for (const target of targets) assert.equal(controls[target], 'OK', target);
    } finally {
      for (const server of servers) server.close();
      rmSync(directory, { recursive: true, force: true });
    }
  });
});

function listen(where: net.ListenOptions): net.Server {
  return net.createServer((socket) => socket.on('error', () => undefined).end('hi')).listen(where);
}

/** Loopback in its several ways, and every other address of this host. */
function ownAddresses(): string[] {
  const others = Object.values(networkInterfaces())
    .flat()
    .filter((found) => found !== undefined && !found.internal && !found.address.startsWith('fe80'))
    .map((found) => (found?.family === 'IPv6' ? `[${found.address}]` : (found?.address ?? '')));
  return ['127.0.0.1', '127.0.0.2', '[::1]', ...others];
}
