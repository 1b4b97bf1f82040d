/**
 * Attacks on the OCI runtime and on what the host does with a sandbox's files: the published ones
 * (reference: CVE-2019-5736, CVE-2021-30465, CVE-2024-21626, CVE-2025-31133) and their relatives.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { describe, test } from 'node:test';
import { isSlipwayError } from '../../src/base/errors.ts';
import { type Order, type Outcome, runSandbox } from '../support/run-sandbox.ts';
import { createStage } from './stage.ts';

const runtimePath = ['/usr/sbin/runc', '/usr/bin/runc'].find((path) => existsSync(path)) ?? 'runc';

describe('runtime', () => {
  const stage = createStage();

  const digest = () =>
    createHash('sha256')
      .update(readFileSync(realpathSync(runtimePath)))
      .digest('hex');

  /** Runs, or is refused with a reason of ours; both are right, anything else is not. */
  async function runOrRefuse(order: Partial<Order> & Pick<Order, 'argv'>): Promise<Outcome | undefined> {
    const { driver, image } = stage.subject();
    try {
      return await runSandbox(driver, { image, ...order });
    } catch (error) {
      assert.ok(isSlipwayError(error), String(error));
      return undefined;
    }
  }

  test('a program that is /proc/self/exe does not get the runtime to write on (CVE-2019-5736)', async () => {
    const before = [digest(), statSync(runtimePath).mtimeMs];
    const source = `
import os, sys
for _ in range(2000):
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for name in ("exe", "fd/3", "fd/4", "fd/5", "fd/6", "fd/7"):
            try:
                descriptor = os.open(f"/proc/{pid}/{name}", os.O_WRONLY)
                os.write(descriptor, b"#!/bin/sh\\n"); print("wrote", name)
            except OSError: pass`;
    await runOrRefuse({ argv: ['python3', '-c', source] });
    for (const argv of [
      ['/proc/self/exe', '--version'],
      ['/proc/self/exe', 'init'],
      ['/proc/self/fd/6', 'x'],
      ['/dev/fd/7'],
      ['/proc/1/exe', 'list'],
      ['/proc/self/fd/../exe', 'init'],
    ]) {
      await runOrRefuse({ argv });
    }
    assert.deepEqual([digest(), statSync(runtimePath).mtimeMs], before);
    await stage.assertUnharmed();
  });

  test('no directory below /proc becomes the working directory (CVE-2024-21626)', async () => {
    const { image } = stage.subject();
    for (let number = 3; number < 12; number++) {
      for (const workdir of [
        `/proc/self/fd/${number}`,
        `/proc/self/fd/${number}/../../..`,
        `/dev/fd/${number}`,
      ]) {
        const argv = ['python3', '-c', 'import os; print(os.getcwd())'];
        const outcome = await runOrRefuse({ image: { ...image, workdir }, argv });
        if (outcome) assert.equal(outcome.stdout.toString(), '/work\n', workdir);
      }
    }
  });

  test('argv, environment and names that are options, shells or paths to somebody else', async () => {
    for (const argv of [
      ['--root', '/tmp/x', 'list'],
      ['-rf', '/'],
      ['../../../../usr/bin/id'],
      ['id;reboot'],
      ['$(id)'],
      ['./id'],
      ['.'],
      [''],
    ]) {
      const outcome = await runOrRefuse({ argv });
      if (outcome && argv[0] !== '../../../../usr/bin/id') {
        assert.ok(
          outcome.status.kind === 'exited' && outcome.status.code >= 126,
          JSON.stringify([argv, outcome.status]),
        );
      }
    }
    const env = {
      LD_PRELOAD: '/data/evil.so',
      RUNC_ROOT: '/x',
      _LIBCONTAINER_INITPIPE: '3',
      GODEBUG: 'x',
      NOTIFY_SOCKET: '/x',
    };
    const outcome = await runOrRefuse({ argv: ['python3', '-c', 'print(1)'], env });
    if (outcome) assert.match(outcome.stdout.toString(), /1/);
    await stage.assertUnharmed();
  });

  test('files in /work that lie where the host will look lead nowhere', async () => {
    const source = `
import os, shutil
for name, target in {"a": "/etc/shadow", "b": "/proc/1/root/etc/shadow", "c": "/dev/vda", "..data": "/"}.items():
    os.symlink(target, name)
os.mkdir("d"); os.rename("d", "e"); os.symlink("/etc", "d")
os.makedirs("x/y"); open("x/y/z", "w").write("mine")
os.rename("x", "was-x"); os.symlink("/root", "x")
os.chmod(".", 0)`;
    const { driver, image } = stage.subject();
    const { files, stderr } = await runSandbox(driver, { image, argv: ['python3', '-c', source] });
    assert.equal(stderr.toString(), '');
    assert.deepEqual(
      files.map((file) => [file.path, file.bytes.toString()]),
      [['was-x/y/z', 'mine']],
    );
    await stage.assertUnharmed();
  });

  test('a large work directory, which is a disk, is as harmless as a small one', async () => {
    const limits = { workBytes: 2 * 1024 ** 3 };
    const { stdout } = await stage.attack('probe', ['files'], { limits, collect: { patterns: [] } });
    const answers = Object.fromEntries(
      stdout
        .toString()
        .trim()
        .split('\n')
        .map((line): { name: string; result: string } => JSON.parse(line))
        .map(({ name, result }) => [name, result]),
    );
    assert.match(answers['writable_mounts'] ?? '', /^\/dev\/shm,\/home\/[^,]+,\/tmp,\/work$/);
    assert.equal(answers['writable_mounts_with_suid_or_devices'], '');
    assert.equal(answers['devices_elsewhere'], '');
    assert.equal(answers['copy_with_setuid'], 'nothing');
    assert.equal(answers['fallocate_beyond'], 'OK', 'it is really the large one');
  });

  test('a sandbox that a hostile image prepares: links where the runtime mounts', async () => {
    const { image } = stage.subject();
    for (const home of ['/proc/self', '/etc', '/../../etc', '/home/slipway/../../etc']) {
      const outcome = await runOrRefuse({
        image: { ...image, user: { ...image.user, home } },
        argv: ['python3', '-c', 'open("/etc/passwd", "a")'],
      });
      if (outcome) assert.match(outcome.stderr.toString(), /Read-only|Permission/);
    }
    await stage.assertUnharmed();
  });
});
