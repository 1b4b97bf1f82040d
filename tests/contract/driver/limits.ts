/** Each limit, proven from inside by running into it, and shown not to be in the way just below. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isSlipwayError } from '../../../src/base/errors.ts';
import type { Control, ControlName } from '../../../src/model/control.ts';
import { patience, runSandbox } from '../../support/run-sandbox.ts';
import { python, runPython, type Subject } from './subject.ts';

const mib = 1024 * 1024;

/** Writes until it cannot; prints the bytes and the errno. */
const fill = `
import errno, os, sys
total = 0
descriptor = os.open(sys.argv[1] + "/fill", os.O_CREAT | os.O_WRONLY)
try:
    while True: total += os.write(descriptor, bytes(65536))
except OSError as error:
    print(total, errno.errorcode[error.errno])
os.unlink(sys.argv[1] + "/fill")`;

const makeFiles = `
import errno, os, sys
count = 0
try:
    while count < 1_000_000:
        os.close(os.open(f"{sys.argv[1]}/f{count}", os.O_CREAT | os.O_WRONLY))
        count += 1
except OSError as error:
    print(count, errno.errorcode[error.errno])`;

export function describeLimits(subject: Subject): void {
  describe('limits', () => {
    test('the probe: usable, and every control named once with its state', async () => {
      const probe = await subject().driver.probe(patience());
      assert.deepEqual(probe.problems, []);
      assert.ok(probe.usable);
      assert.ok(probe.runtime?.version);
      const names = probe.controls.map((control) => control.name);
      assert.equal(new Set(names).size, names.length);
      for (const control of probe.controls) assert.ok(control.detail.length > 0, control.name);
      assert.deepEqual(
        probe.controls.filter((control) => !isExplained(control)).map((control) => control.name),
        [],
      );
    });

    test('memory: half of the limit works', async () => {
      const { status } = await runPython(
        subject,
        'x = bytearray(32 << 20); x[::4096] = b"1" * len(x[::4096])',
        {
          limits: { memoryBytes: 64 * mib },
        },
      );
      assert.ok(status.kind === 'exited' && status.code === 0);
    });

    const homes = () => ['/tmp', '/dev/shm', subject().image.user.home];

    test('size of /tmp, /dev/shm and the home directory', async () => {
      for (const at of homes()) {
        const { stdout } = await runPython(subject, fill, { args: [at], limits: { tmpBytes: 4 * mib } });
        const [bytes, error] = stdout.toString().trim().split(' ');
        assert.equal(error, 'ENOSPC', at);
        assert.ok(Number(bytes) > 3 * mib && Number(bytes) <= 4 * mib, `${at}: ${bytes}`);
      }
    });

    test('inodes of /tmp, /dev/shm and the home directory', async () => {
      for (const at of homes()) {
        const { stdout } = await runPython(subject, makeFiles, {
          args: [at],
          limits: { memoryBytes: 1024 * mib },
        });
        const [count, error] = stdout.toString().trim().split(' ');
        assert.equal(error, 'ENOSPC', `${at}: ${stdout}`);
        assert.ok(Number(count) >= 100 && Number(count) <= 200_000, `${at}: ${count}`);
      }
    });

    test('size of /work, small and large', async () => {
      for (const workBytes of [mib, 24 * mib]) {
        const { stdout } = await runPython(subject, fill, { args: ['/work'], limits: { workBytes } });
        const [bytes, error] = stdout.toString().trim().split(' ');
        assert.match(error ?? '', /ENOSPC|EDQUOT/);
        assert.ok(Number(bytes) > workBytes * 0.7 && Number(bytes) <= workBytes, `${bytes} of ${workBytes}`);
      }
    });

    test('inodes of /work', async () => {
      const { stdout } = await runPython(subject, makeFiles, {
        args: ['/work'],
        limits: { workInodes: 100 },
      });
      const [count, error] = stdout.toString().trim().split(' ');
      assert.match(error ?? '', /ENOSPC|EDQUOT/);
      assert.ok(Number(count) >= 80 && Number(count) <= 100, count);
    });

    test('a work directory that is larger than the memory limit holds more than the memory', async () => {
      const source = `
for i in range(96): open(f"/work/{i}", "wb").write(bytes(1 << 20))
print("held")`;
      const { stdout, status } = await runPython(subject, source, {
        limits: { memoryBytes: 64 * mib, workBytes: 4096 * mib },
        collect: { patterns: [] },
      });
      if (status.kind === 'oom-killed') return; // a work directory that is memory throughout
      assert.equal(stdout.toString(), 'held\n');
    });

    test('a large work directory has its limits too', async () => {
      const limits = { memoryBytes: 256 * mib, workBytes: 2048 * mib, workInodes: 1000 };
      const { stdout } = await runPython(subject, makeFiles, {
        args: ['/work'],
        limits,
        collect: { patterns: [] },
      });
      const [count, error] = stdout.toString().trim().split(' ');
      assert.match(error ?? '', /ENOSPC|EDQUOT/);
      assert.ok(Number(count) >= 800 && Number(count) <= 1100, count);
    });

    test('pids', async () => {
      const source = `
import errno, os, signal
children = []
try:
    while True: children.append(os.fork() or signal.pause())
except OSError as error:
    print(len(children), errno.errorcode[error.errno])
for child in children: os.kill(child, 9)`;
      const { stdout } = await runPython(subject, source, { limits: { pids: 20 } });
      const [count, error] = stdout.toString().trim().split(' ');
      assert.equal(error, 'EAGAIN');
      assert.ok(Number(count) >= 10 && Number(count) <= 20, count);
    });

    test('one process alone can run with a limit of few', async () => {
      const { driver, image } = subject();
      const { status, stdout } = await runSandbox(driver, {
        image,
        argv: ['sh', '-c', 'echo alone'],
        limits: { pids: 8 },
      });
      assert.ok(status.kind === 'exited' && status.code === 0, JSON.stringify(status));
      assert.equal(stdout.toString(), 'alone\n');
    });

    test('cpu: two busy processes get no more than the limit, and nearly that', async () => {
      const source = `
import os, time
if os.fork() == 0:
    while True: pass
end = time.monotonic() + 2
while time.monotonic() < end: pass`;
      const { status } = await runPython(subject, source, { limits: { cpus: 0.5 } });
      const { cpuMs, wallMs } = status.usage;
      assert.ok(cpuMs !== null && cpuMs / wallMs <= 0.5 * 1.3, `${cpuMs} ms of CPU in ${wallMs} ms`);
      assert.ok(cpuMs / wallMs >= 0.5 * 0.5, `${cpuMs} ms of CPU in ${wallMs} ms`);
    });

    test('open files of one process', async () => {
      const source = `
import errno, os, resource
held = []
try:
    while True: held.append(os.dup(0))
except OSError as error:
    print(errno.errorcode[error.errno], held[-1] + 1, resource.getrlimit(resource.RLIMIT_NOFILE))`;
      const { stdout } = await runPython(subject, source, { limits: { openFiles: 100 } });
      assert.equal(stdout.toString(), 'EMFILE 100 (100, 100)\n');
    });

    test('the least of every limit still starts a program, or is refused with the reason', async () => {
      const { driver, image } = subject();
      const limits = {
        memoryBytes: 4 * mib,
        cpus: 0.01,
        pids: 1,
        workBytes: 65_536,
        workInodes: 16,
        tmpBytes: 65_536,
        openFiles: 16,
      };
      const outcome = await runSandbox(driver, { image, argv: ['true'], limits }).catch(
        (error: unknown) => error,
      );
      if (outcome instanceof Error) return assert.ok(isSlipwayError(outcome), String(outcome));
      assert.match(JSON.stringify(outcome), /"kind":"(exited|oom-killed)"/);
    });

    test('a limit beyond this host is no reason to fail', async () => {
      const limits = { cpus: 1024, memoryBytes: 1024 ** 4, pids: 65_536, openFiles: 1_048_576 };
      const { driver, image } = subject();
      const outcome = await runSandbox(driver, { image, argv: python('print(1)'), limits }).catch(
        (error: unknown) => error,
      );
      if (outcome instanceof Error) return assert.ok(isSlipwayError(outcome), String(outcome));
      assert.match(JSON.stringify(outcome), /"kind":"exited","code":0/);
    });
  });
}

/** What is not on must say so loudly; on the hosts that the suite runs on, only these may be missing. */
const mayBeMissing: ReadonlySet<ControlName> = new Set(['no-swap', 'patched-runtime']);

function isExplained(control: Control): boolean {
  return control.state === 'on' || mayBeMissing.has(control.name);
}
