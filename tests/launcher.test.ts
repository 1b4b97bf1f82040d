/** The launcher, in a small checkout: arguments, exit status, signals, and an end when its parent is gone. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { createSmallCheckout } from './support/small-checkout.ts';

// It writes its pid, waits for a signal, writes the signal's name, and ends with status 9.
const waitingProgram = `
import { writeFileSync } from 'node:fs';
const file = process.argv[2];
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => { writeFileSync(file + '.signal', signal); process.exit(9); });
}
writeFileSync(file, String(process.pid));
setInterval(() => {}, 1000);`;

/** Nothing of these checkouts stays in this machine's cache. */
const uncached = { NODE_DISABLE_COMPILE_CACHE: '1' };

/** As a child of npm the launcher supervises; else it becomes the program, where Node can. */
const ways = { supervised: { npm_lifecycle_event: 'start' }, replaced: { npm_lifecycle_event: undefined } };

describe('the launcher', () => {
  for (const [way, env] of Object.entries(ways)) {
    it(`hands over arguments and exit status (${way})`, () => {
      using checkout = createSmallCheckout('console.log(process.argv.slice(2)); process.exit(7);');
      const result = launchSync(checkout.directory, ['run', '--x', 'y z'], env);
      assert.equal(result.stdout, "[ 'run', '--x', 'y z' ]\n", result.stderr);
      assert.equal(result.status, 7);
    });

    it(`dies of the same signal (${way})`, () => {
      using checkout = createSmallCheckout(
        "process.kill(process.pid, 'SIGUSR2'); setInterval(() => {}, 1000);",
      );
      assert.equal(launchSync(checkout.directory, ['run'], env).signal, 'SIGUSR2');
    });

    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      it(`forwards ${signal} (${way})`, async () => {
        using checkout = createSmallCheckout(waitingProgram);
        const file = join(checkout.directory, 'pid');
        const launcher = launch(checkout.directory, [file], env);
        await content(file);
        launcher.kill(signal);
        assert.deepEqual(await once(launcher, 'exit'), [9, null]);
        assert.equal(await content(`${file}.signal`), signal);
      });
    }
  }

  it('takes its program with it when it is killed', async () => {
    using checkout = createSmallCheckout(waitingProgram);
    const file = join(checkout.directory, 'pid');
    const launcher = launch(checkout.directory, [file], ways.supervised);
    const pid = await content(file);
    assert.notEqual(Number(pid), launcher.pid, 'it supervises');
    launcher.kill('SIGKILL');
    assert.equal(await content(`${file}.signal`), 'SIGTERM');
    await gone(pid);
  });

  it('ends when the npm that started it is killed, with a shell between', async () => {
    using checkout = createSmallCheckout(waitingProgram);
    const file = join(checkout.directory, 'pid');
    linkNode(checkout.directory);
    checkout.write(
      'package.json',
      JSON.stringify({ type: 'module', scripts: { start: `node bin/slipway.cjs ${file}; true` } }),
    );
    const npm = spawn('npm', ['start'], {
      cwd: checkout.directory,
      env: { ...process.env, ...ways.replaced },
      stdio: 'ignore',
    });
    const pid = await content(file);
    npm.kill('SIGKILL');
    assert.equal(await content(`${file}.signal`), 'SIGTERM');
    await gone(pid);
  });

  it('under an older Node says what to type when Node 24 is not there, and under a newer does without', () => {
    using checkout = createSmallCheckout('console.log(process.version);');
    const host = hostNode();
    const result = spawnSync(host.file, ['bin/slipway.cjs'], { cwd: checkout.directory, encoding: 'utf8' });
    if (host.major >= 24) return assert.match(result.stdout, new RegExp(`^v${host.major}`));
    assert.match(result.stderr, /Node 24.*npm install/);
    assert.equal(result.status, 1);
  });

  it("runs under the machine's own Node, by the Node 24 in node_modules", () => {
    using checkout = createSmallCheckout('console.log(process.version);');
    linkNode(checkout.directory);
    const result = spawnSync(hostNode().file, ['bin/slipway.cjs'], {
      cwd: checkout.directory,
      encoding: 'utf8',
    });
    assert.equal(result.stdout, `${process.version}\n`, result.stderr);
  });
});

describe('set-up', () => {
  it('says what npm said when npm ci fails', () => {
    using checkout = createSmallCheckout();
    rmSync(join(checkout.directory, 'node_modules/needed'), { recursive: true });
    const dependencies = { 'not-in-the-lock': '1.0.0' };
    checkout.write('package.json', JSON.stringify({ name: 'slipway', version: '0.1.0', dependencies }));
    const script = join(checkout.directory, 'scripts/setup.cjs');
    const result = spawnSync(process.execPath, [script, '--only', 'node'], { encoding: 'utf8' });
    assert.match(result.stderr, /✗ npm ci.*\n✗ npm ci failed in .*It said:\n {4}npm error/);
    assert.match(result.stderr, /not-in-the-lock/);
    assert.equal(result.status, 1);
  });
});

describe('set-up without root', () => {
  it('says exactly what to type', () => {
    using checkout = createSmallCheckout();
    const node = copyNode(checkout.directory);
    const entry = { package: 'moon-base', probe: 'moon-base-command', for: 'tests', group: 'run' };
    checkout.write('scripts/requirements.json', JSON.stringify([entry]));
    spawnSync('chown', ['-R', '65534:65534', checkout.directory]);
    const result = spawnSync(node, [join(checkout.directory, 'scripts/setup.cjs')], {
      cwd: checkout.directory,
      uid: 65534,
      gid: 65534,
      encoding: 'utf8',
    });
    assert.match(result.stderr, /apt-get update\b/);
    assert.match(result.stderr, /apt-get install -y --no-install-recommends moon-base\b/);
    assert.match(result.stderr, /scripts\/setup\.cjs --only staging,image/);
    assert.equal(result.status, 1);
  });
});

/** In a process group of its own: in the terminal's, it would leave Ctrl-C to the terminal. */
function launch(directory: string, args: readonly string[], env: NodeJS.ProcessEnv): ChildProcess {
  const options = { cwd: directory, env: { ...process.env, ...uncached, ...env }, detached: true };
  return spawn(process.execPath, ['bin/slipway.cjs', ...args], { ...options, stdio: 'ignore' });
}

function launchSync(directory: string, args: readonly string[], env: NodeJS.ProcessEnv) {
  const options = { cwd: directory, env: { ...process.env, ...uncached, ...env } };
  return spawnSync(process.execPath, ['bin/slipway.cjs', ...args], { ...options, encoding: 'utf8' });
}

/** The Node of this machine, as outside of `npm run`, which puts ours first on PATH. */
function hostNode(): { readonly file: string; readonly major: number } {
  const directories = (process.env['PATH'] ?? '').split(':').filter((name) => !name.includes('node_modules'));
  const file =
    directories.map((name) => join(name, 'node')).find((name) => existsSync(name)) ?? process.execPath;
  const version = spawnSync(file, ['--version'], { encoding: 'utf8' }).stdout;
  return { file, major: Number(/^v(\d+)/.exec(version)?.[1]) };
}

function linkNode(checkout: string): void {
  symlinkSync(process.execPath, nodeIn(checkout));
}

/** For another user: our own Node may lie below a directory that only root can enter. */
function copyNode(checkout: string): string {
  copyFileSync(process.execPath, nodeIn(checkout));
  return nodeIn(checkout);
}

function nodeIn(checkout: string): string {
  const directory = join(checkout, `node_modules/node-linux-${process.arch}/bin`);
  mkdirSync(directory, { recursive: true });
  return join(directory, 'node');
}

/** Waits until a file has content. */
async function content(file: string): Promise<string> {
  let text = '';
  await until(() => {
    text = existsSync(file) ? readFileSync(file, 'utf8') : '';
    return text !== '';
  }, `${file} is not written`);
  return text;
}

async function gone(pid: string): Promise<void> {
  const status = (): string => readFileSync(`/proc/${pid}/status`, 'utf8');
  await until(() => !existsSync(`/proc/${pid}`) || /^State:\s+Z/m.test(status()), `${pid} is still there`);
}

async function until(isTrue: () => boolean, otherwise: string): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!isTrue()) {
    assert.ok(Date.now() < deadline, otherwise);
    await delay(20);
  }
}
