/** An OCI runtime that is missing, hangs or is broken; a store that somebody else holds. */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, it } from 'node:test';
import { assertFails } from '../support/assert-fails.ts';
import { runSlipway } from '../support/run-slipway.ts';
import { type ServiceProcess, startServiceProcess } from '../support/service.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';
import { until } from '../support/until.ts';
import { assertWorks, begun, ended, problemsOf, run, script } from './service-runs.ts';

/** A program named runc that answers questions as runc does, and does `body` when it is to run something. */
function writeRuntime(directory: string, body: string): string {
  const path = join(directory, 'bin', 'runc');
  mkdirSync(join(directory, 'bin'));
  writeFileSync(path, `#!/bin/sh\n[ "$1" = --version ] && exec runc --version\n${body}\n`);
  chmodSync(path, 0o755);
  return path;
}

async function doctor(service: ServiceProcess): Promise<{ usable: boolean; problems: string[] }> {
  const { status, stdout } = await runSlipway(['doctor', '--json'], service.env);
  const diagnosis = JSON.parse(stdout);
  assert.equal(status, diagnosis.usable ? 0 : 1);
  return diagnosis;
}

describe('an OCI runtime', { concurrency: true }, () => {
  it('that is missing: readiness, doctor and the run say what to install', async () => {
    await using service = await startServiceProcess({ settings: { SLIPWAY_RUNTIME: '/no/such/runc' } });
    const advice = /\/no\/such\/runc cannot be used: .*apt-get install runc/;
    assert.match(await problemsOf(service, 'starter'), advice);
    const { usable, problems } = await doctor(service);
    assert.equal(usable, false);
    assert.match(problems.join('\n'), advice);
    const { outcome } = await run(service, script('print(1)'));
    assert.ok(outcome?.kind === 'platform-error');
    assert.equal(outcome.code, 'runtime-missing');
    assert.match(outcome.message, advice);
  });

  it('that hangs when it is to run something: the run ends in time, nothing is left', async () => {
    using directory = createTemporaryDirectory();
    const runtime = writeRuntime(directory.path, 'sleep 100000 & exec sleep 100000');
    await using service = await startServiceProcess({ settings: { SLIPWAY_RUNTIME: runtime } });
    const { outcome } = await run(service, script('print(1)'));
    assert.equal(outcome?.kind === 'platform-error' && outcome.code, 'runtime-timeout');
  });

  it('that hangs whatever it is asked: readiness and doctor say so', async () => {
    using directory = createTemporaryDirectory();
    const path = join(directory.path, 'runc');
    writeFileSync(path, '#!/bin/sh\nexec sleep 100000\n');
    chmodSync(path, 0o755);
    await using service = await startServiceProcess({ settings: { SLIPWAY_RUNTIME: path } });
    const advice = /runc cannot be used: it does not answer/;
    assert.match(await problemsOf(service, 'starter'), advice);
    assert.match((await doctor(service)).problems.join('\n'), advice);
  });

  const failures = {
    'in its log': String.raw`printf '{"level":"error","msg":"no %s today"}\n' sandboxes >> "$4"`,
    'on stderr': 'echo "no sandboxes today" >&2',
  };
  for (const [where, complaint] of Object.entries(failures)) {
    it(`that fails with a reason ${where}: the run tells the reason`, async () => {
      using directory = createTemporaryDirectory();
      const runtime = writeRuntime(directory.path, `${complaint}\nexit 1`);
      await using service = await startServiceProcess({ settings: { SLIPWAY_RUNTIME: runtime } });
      const { outcome, output } = await run(service, script('print(1)'));
      assert.ok(outcome?.kind === 'platform-error', JSON.stringify(outcome));
      assert.equal(outcome.code, 'sandbox-failed');
      assert.match(outcome.message, /no sandboxes today/);
      assert.equal(output?.stdoutBytes, 0, "its words are not the program's");
    });
  }
});

describe('a store', () => {
  it('that another process has locked: refused with the reason, nothing is lost', async () => {
    await using service = await startServiceProcess();
    const before = await service.client.submitRun(script('import time\nprint(1, flush=True)\ntime.sleep(1)'));
    await begun(service, before.id);
    using lock = new DatabaseSync(join(service.stateDir, 'control', 'slipway.db'));
    lock.exec('begin immediate');
    await assertFails(service.client.submitRun(script('print(2)')), 'store-locked');
    assert.match(await problemsOf(service, 'store'), /another process holds its write lock/);
    await until('the end of the run waits for the store', () => service.log.includes('cannot be stored'));
    assert.equal((await service.client.getRun(before.id)).state, 'running', 'what is there can be read');
    lock.exec('rollback');
    assert.equal((await ended(service.client, before.id)).state, 'succeeded');
    await until('it is ready again', async () => (await service.client.readiness()).ready);
    await assertWorks(service);
  });

  it('that a service uses is refused to a second service, and nothing happens to its runs', async () => {
    await using service = await startServiceProcess();
    const source = 'import sys\nprint(1, flush=True)\nsys.stdin.read()\nimport time\ntime.sleep(3)';
    const { id } = await service.client.submitRun(script(source));
    await begun(service, id);
    const second = await runSlipway(['up', '--json'], service.env);
    assert.equal(second.status, 1);
    assert.match(second.stderr, /Another Slipway service uses .*SLIPWAY_STATE_DIR/);
    assert.equal((await ended(service.client, id)).state, 'succeeded');
  });
});
