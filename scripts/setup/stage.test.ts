/** Staging, on a small checkout below a directory that only root can enter. */
import assert from 'node:assert/strict';
import { type SpawnSyncReturns, spawn, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { describe, it } from 'node:test';
import { createSmallCheckout } from '../../tests/support/small-checkout.ts';
import { isStaged, stage } from './stage.cjs';

const nobody = 65534;
const program = "import needed from 'needed';\nconsole.log(needed.answer, process.getuid?.());";

describe('stage', () => {
  it('gives an unprivileged user a program that runs, from a checkout below a 0700 directory', () => {
    using checkout = createSmallCheckout(program);
    using root = temporaryRoot();
    addNode(checkout.directory);
    chmodSync(join(checkout.directory, 'node_modules/needed/index.js'), 0o600);
    chmodSync(join(checkout.directory, 'src/main.ts'), 0o600);
    const staged = withUmask(0o077, () => stage(checkout.directory, { root: root.directory }));
    assert.equal(lstatSync(checkout.directory).mode & 0o777, 0o700);
    assert.equal(runAsNobody(checkout.directory).status, null, 'the checkout itself must be out of reach');
    const result = runAsNobody(staged);
    assert.equal(result.stdout, `needed ${nobody}\n`, result.stderr);
  });

  it('holds what runs and nothing else, and nobody but root may write there', () => {
    using checkout = createSmallCheckout();
    using root = temporaryRoot();
    const staged = stage(checkout.directory, { root: root.directory });
    assert.match(basename(staged), /^0\.1\.0-[0-9a-f]{12}$/);
    assert.ok(isStaged(staged) && !isStaged(checkout.directory));
    const has = (path: string): boolean => existsSync(join(staged, path));
    assert.ok(has('src/main.ts') && has('bin/slipway.cjs') && has('node_modules/needed/node_modules/nested'));
    assert.ok(!has('src/main.test.ts') && !has('node_modules/for-tests'));
    const names = readdirSync(root.directory, { recursive: true, encoding: 'utf8' });
    const writable = names.map((name) => lstatSync(join(root.directory, name))).filter(isWritableByOthers);
    assert.deepEqual(writable, []);
  });

  it('copies nothing the second time', () => {
    using checkout = createSmallCheckout();
    using root = temporaryRoot();
    const copied: string[] = [];
    const options = { root: root.directory, onCopy: (target: string) => copied.push(target) };
    const first = stage(checkout.directory, options);
    assert.equal(copied.length, 2);
    assert.equal(stage(checkout.directory, options), first);
    assert.equal(copied.length, 2);
  });

  it('stages again under another name when a file of the checkout changes', () => {
    using checkout = createSmallCheckout();
    using root = temporaryRoot();
    const first = stage(checkout.directory, { root: root.directory });
    checkout.write('src/main.ts', "console.log('changed');");
    const second = stage(checkout.directory, { root: root.directory });
    assert.notEqual(second, first);
    assert.match(readFileSync(join(second, 'src/main.ts'), 'utf8'), /changed/);
  });

  it('mends a staged file that was changed, added or removed', () => {
    using checkout = createSmallCheckout(program);
    using root = temporaryRoot();
    const staged = stage(checkout.directory, { root: root.directory });
    const harm: readonly (() => void)[] = [
      () => appendFileSync(join(staged, 'src/main.ts'), 'evil();'),
      () => writeFileSync(join(staged, 'src/added.ts'), 'evil();'),
      () => rmSync(join(staged, 'node_modules/needed/index.js')),
      () => chmodSync(join(staged, 'src/main.ts'), 0o666),
    ];
    for (const damage of harm) {
      damage();
      assert.equal(stage(checkout.directory, { root: root.directory }), staged);
      assert.equal(readFileSync(join(staged, 'src/main.ts'), 'utf8'), program);
      assert.equal(lstatSync(join(staged, 'src/main.ts')).mode & 0o777, 0o644);
      assert.ok(
        existsSync(join(staged, 'node_modules/needed/index.js')) && !existsSync(join(staged, 'src/added.ts')),
      );
    }
  });

  it('finds a change that kept size and time only when it verifies', () => {
    using checkout = createSmallCheckout("console.log('good');");
    using root = temporaryRoot();
    const staged = stage(checkout.directory, { root: root.directory });
    const file = join(staged, 'src/main.ts');
    const { atime, mtime } = lstatSync(file);
    writeFileSync(file, "console.log('evil');");
    utimesSync(file, atime, mtime);
    // The manifest has times finer than utimes can set back, so a difference may show without --verify too.
    stage(checkout.directory, { root: root.directory, verify: true });
    assert.match(readFileSync(file, 'utf8'), /good/);
  });

  it('refuses a symbolic link, which could lead anywhere', () => {
    using checkout = createSmallCheckout();
    using root = temporaryRoot();
    symlinkSync('/etc/shadow', join(checkout.directory, 'src/link.ts'));
    assert.throws(() => stage(checkout.directory, { root: root.directory }), /link\.ts is a symbolic link/);
  });

  it('refuses a place that others cannot enter, and says what to type', () => {
    using checkout = createSmallCheckout();
    using root = temporaryRoot();
    chmodSync(root.directory, 0o700);
    assert.throws(
      () => stage(checkout.directory, { root: join(root.directory, 'below') }),
      new RegExp(`chmod o\\+x ${root.directory}`),
    );
  });
});

describe('stage, interrupted', () => {
  it('is whole after a kill at any step, and leaves nothing behind', () => {
    using checkout = createSmallCheckout();
    let step = 1;
    for (let killed = true; killed; step += 3) {
      using root = temporaryRoot();
      killed = stageAndDieAt(step, checkout.directory, root.directory);
      const staged = stage(checkout.directory, { root: root.directory, verify: true });
      assert.ok(existsSync(join(staged, 'node_modules/needed/index.js')), `after a kill at step ${step}`);
      assert.equal(readdirSync(root.directory).length, 2, `after a kill at step ${step}`);
    }
    assert.ok(step > 30, `only ${step} steps: the kills did not reach the copying`);
  });
});

describe('old versions', () => {
  it('are removed an hour later, but for the newest two and those in use', async (t) => {
    using checkout = createSmallCheckout();
    using root = temporaryRoot();
    const stageNext = (text: string): string => {
      checkout.write('src/main.ts', text);
      return stage(checkout.directory, { root: root.directory });
    };
    const age = (...directories: readonly string[]): void => {
      const then = Date.now() / 1000 - 3700;
      for (const [i, directory] of directories.entries()) {
        utimesSync(join(directory, '.staged.json'), then, then + i);
      }
    };
    const used = stageNext('one');
    const sleeper = spawn('sleep', ['600'], { cwd: used, stdio: 'ignore' });
    t.after(() => sleeper.kill());
    const unused = stageNext('two');
    const third = stageNext('three');
    age(used, unused, third);
    const fourth = stageNext('four');
    const exists = (): boolean[] => [used, unused, third, fourth].map((directory) => existsSync(directory));
    assert.deepEqual(exists(), [true, false, true, true]);
    sleeper.kill();
    await new Promise((resolve) => sleeper.on('exit', resolve));
    stageNext('four');
    assert.deepEqual(exists(), [false, false, true, true]);
    const recent = stageNext('five');
    stageNext('six');
    stageNext('seven');
    assert.ok(existsSync(recent), 'a service that is being restarted may need it');
  });
});

/** Stages in a process that kills itself at the n-th change of the file system; false if it got through. */
function stageAndDieAt(step: number, checkout: string, root: string): boolean {
  const script = `
    const fs = require('node:fs');
    let left = ${step};
    for (const name of ['mkdirSync', 'writeFileSync', 'copyFileSync', 'symlinkSync', 'chmodSync', 'renameSync']) {
      const original = fs[name];
      fs[name] = (...args) => {
        if (--left === 0) process.kill(process.pid, 'SIGKILL');
        return original(...args);
      };
    }
    require(${JSON.stringify(join(checkout, 'scripts/setup/stage.cjs'))}).stage(...process.argv.slice(1, 2), {
      root: process.argv[2],
    });`;
  const result = spawnSync(process.execPath, ['-e', script, checkout, root], { encoding: 'utf8' });
  assert.ok(result.signal === 'SIGKILL' || result.status === 0, result.stderr);
  return result.signal === 'SIGKILL';
}

function addNode(checkout: string): void {
  const directory = `node_modules/node-linux-${process.arch}/bin`;
  mkdirSync(join(checkout, directory), { recursive: true });
  copyFileSync(process.execPath, join(checkout, directory, 'node'));
  const file = join(checkout, 'package-lock.json');
  const lock = JSON.parse(readFileSync(file, 'utf8'));
  lock.packages[`node_modules/node-linux-${process.arch}`] = { version: '24.0.0', optional: true };
  writeFileSync(file, JSON.stringify(lock));
}

function runAsNobody(directory: string): SpawnSyncReturns<string> {
  const node = join(directory, `node_modules/node-linux-${process.arch}/bin/node`);
  const main = join(directory, 'src/main.ts');
  return spawnSync(node, [main], { cwd: '/', uid: nobody, gid: nobody, encoding: 'utf8' });
}

function isWritableByOthers(stat: { mode: number; isSymbolicLink(): boolean }): boolean {
  return !stat.isSymbolicLink() && (stat.mode & 0o022) !== 0;
}

function temporaryRoot(): Disposable & { readonly directory: string } {
  const directory = mkdtempSync(join(tmpdir(), 'slipway-stage-'));
  chmodSync(directory, 0o755);
  return { directory, [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }) };
}

function withUmask<T>(mask: number, work: () => T): T {
  const before = process.umask(mask);
  try {
    return work();
  } finally {
    process.umask(before);
  }
}
