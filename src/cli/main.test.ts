import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { callCli, openStarterOf, startCli } from '../../tests/support/cli.ts';
import { usableProbe } from '../../tests/support/http-doubles.ts';
import { createHttpStage } from '../../tests/support/http-stage.ts';
import { ScriptedStarter } from '../../tests/support/scripted-starter.ts';
import type { Outcome } from '../model/run.ts';
import { version } from '../version.ts';
import { exitCodeOf } from './exit-codes.ts';

describe('the command line', () => {
  test('helps, and says what is wrong with status 2', async () => {
    const help = await callCli(['--help']);
    assert.equal(help.exitCode, 0);
    for (const command of ['run', 'up', 'start', 'doctor', 'image', 'runs', 'token', 'version']) {
      assert.match(String(help.stdout), new RegExp(`^  ${command}\\b`, 'm'));
      assert.equal((await callCli([command, '--help'])).exitCode, 0, command);
    }
    const unknown = await callCli(['rnu']);
    assert.equal(unknown.exitCode, 2);
    assert.match(unknown.stderr, /^slipway: unknown command 'rnu'\n\(Did you mean run\?\)/);
    for (const argv of [
      ['run', '--what'],
      ['run', 'x.py', '--memory', 'lots'],
      ['runs', 'list', '--limit', '0'],
      ['runs', 'show'],
    ]) {
      const result = await callCli(argv);
      assert.equal(result.exitCode, 2, argv.join(' '));
      assert.match(result.stderr, /^slipway: /);
    }
    assert.match(String((await callCli(['--version'])).stdout), new RegExp(version));
    assert.equal(JSON.parse(String((await callCli(['version', '--json'])).stdout)).slipway, version);
  });

  test('reports a bad configuration with status 2', async () => {
    const result = await callCli(['runs', 'list'], { env: { SLIPWAY_LISTEN: 'everywhere' } });
    assert.equal(result.exitCode, 2);
    assert.match(result.stderr, /SLIPWAY_LISTEN/);
  });

  test('says what to type where root is needed', async () => {
    for (const argv of [['run', import.meta.filename], ['up'], ['start', '--once']]) {
      const result = await callCli(argv);
      assert.match(result.stderr, new RegExp(`sudo slipway ${argv[0]}`));
      assert.equal(result.exitCode, 2);
    }
    const doctor = await callCli(['doctor']);
    assert.match(String(doctor.stdout), /sudo slipway doctor/);
    assert.equal(doctor.exitCode, 1);
  });

  test('ends with the status that docs/cli.md gives to each outcome', () => {
    const statuses: readonly (readonly [Outcome, number])[] = [
      [{ kind: 'succeeded' }, 0],
      [{ kind: 'failed', exitCode: 3 }, 3],
      [{ kind: 'signaled', signal: 'SIGSEGV' }, 139],
      [{ kind: 'timed-out', limitMs: 1 }, 124],
      [{ kind: 'oom-killed', limitBytes: 1 }, 137],
      [{ kind: 'output-limit', limitBytes: 1 }, 123],
      [{ kind: 'cancelled', reason: '' }, 130],
      [{ kind: 'lost', reason: '' }, 125],
      [{ kind: 'platform-error', code: '', message: '' }, 125],
    ];
    for (const [outcome, status] of statuses) assert.equal(exitCodeOf(outcome), status, outcome.kind);
  });
});

test('doctor shows controls, and ends with 1 where no sandbox can be made', async () => {
  const starter = new ScriptedStarter();
  const openStarter = async () => openStarterOf(starter);
  const env = { SLIPWAY_LISTEN: '/nowhere/slipway.sock' };
  const call = { isRoot: true, parts: { openStarter }, env };
  starter.probe = async () => ({
    ...usableProbe,
    controls: [
      { name: 'seccomp', state: 'on', detail: 'a list' },
      { name: 'no-swap', state: 'missing', detail: 'boot with\x1b[2J swapaccount=1' },
    ],
  });
  const good = await callCli(['doctor'], call);
  assert.equal(good.exitCode, 0);
  assert.match(String(good.stdout), /✓ {2}seccomp {2}on {6,}a list/);
  assert.match(String(good.stdout), /✗ {2}no-swap {2}missing {2}boot with\\x1b\[2J swapaccount=1/);
  assert.match(String(good.stdout), /service {3}not running/);
  starter.probe = async () => ({ ...usableProbe, usable: false, problems: ['runc is not installed'] });
  const bad = await callCli(['doctor', '--json'], call);
  assert.equal(bad.exitCode, 1);
  const damaged = await callCli(['doctor'], {
    ...call,
    parts: { openStarter: async () => openStarterOf(starter, ['The image x is damaged: …']) },
  });
  assert.match(String(damaged.stdout), /✗ The image x is damaged/);
  const diagnosis = JSON.parse(String(bad.stdout));
  assert.ok(diagnosis.problems.includes('runc is not installed'));
  assert.equal(diagnosis.service.state, 'not-running');
});

test('runs are listed, shown, followed and cancelled', async (t) => {
  const stage = await createHttpStage();
  t.after(() => stage.app.close());
  const url = await stage.app.listen({ host: '127.0.0.1', port: 0 });
  const env = { SLIPWAY_URL: url, SLIPWAY_TOKEN: stage.annToken };
  const payload = { command: ['echo', '\x1b[2J'], labels: { a: 'b' } };
  const { id } = (
    await stage.app.inject({ method: 'POST', url: '/v1/runs', headers: stage.ann, payload })
  ).json();
  const list = await callCli(['runs', 'list'], { env });
  assert.match(String(list.stdout), new RegExp(`${id} +queued .* echo \\\\x1b\\[2J`));
  stage.runs.write(id, { kind: 'output', stream: 'stdout', bytes: Buffer.from([0xff, 0x0a]) });
  assert.deepEqual((await callCli(['runs', 'logs', id], { env })).stdout, Buffer.from([0xff, 0x0a]));
  const following = startCli(['runs', 'logs', '-f', id], { env });
  await stage.runs.waiters(1);
  stage.runs.write(id, { kind: 'output', stream: 'stdout', bytes: Buffer.from('more') });
  assert.match(
    String((await callCli(['runs', 'cancel', id, '--reason', 'why'], { env })).stdout),
    /is cancelled/,
  );
  assert.deepEqual((await following.result).stdout, Buffer.from('\xff\nmore', 'latin1'));
  const show = await callCli(['runs', 'show', id], { env });
  assert.match(String(show.stdout), /outcome +cancelled \(why\)/);
  assert.equal(JSON.parse(String((await callCli(['runs', 'show', id, '--json'], { env })).stdout)).id, id);
  const missing = await callCli(['runs', 'show', 'run_x'], { env });
  assert.equal(missing.exitCode, 2);
  assert.match(missing.stderr, /^slipway: There is no run/);
});

test('tokens are created, listed and revoked; the secret alone goes to stdout', async (t) => {
  const stage = await createHttpStage();
  t.after(() => stage.app.close());
  const SLIPWAY_URL = await stage.app.listen({ host: '127.0.0.1', port: 0 });
  const env = { SLIPWAY_URL, SLIPWAY_TOKEN: stage.operator.authorization.slice('Bearer '.length) };
  const created = await callCli(['token', 'create', 'cat'], { env });
  assert.match(String(created.stdout), /^slw_[0-9a-z]{32}\n$/);
  const id = /token_\S+/.exec(created.stderr)?.[0] ?? '';
  assert.match(created.stderr, /for cat \(caller\)/);
  const cat = { SLIPWAY_URL, SLIPWAY_TOKEN: String(created.stdout).trim() };
  assert.equal((await callCli(['runs', 'list'], { env: cat })).exitCode, 0);
  const refused = await callCli(['token', 'list'], { env: cat });
  assert.equal(refused.exitCode, 2);
  assert.match(refused.stderr, /for operators/);
  const json = await callCli(['token', 'create', 'op', '--role', 'operator', '--json'], { env });
  assert.equal(JSON.parse(String(json.stdout)).role, 'operator');
  assert.equal((await callCli(['token', 'create', 'x', '--role', 'king'], { env })).exitCode, 2);
  assert.match(String((await callCli(['token', 'revoke', id], { env })).stdout), /of cat is revoked/);
  assert.match(
    String((await callCli(['token', 'list'], { env })).stdout),
    new RegExp(`${id} +cat +caller .*Z .*Z`),
  );
  assert.equal((await callCli(['runs', 'list'], { env: cat })).exitCode, 2);
});
