/** How a program ended, as the outside sees it: codes, signals, what cannot be started, and stop. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type SignalName, signalNumber } from '../../../src/model/usage.ts';
import type { Sandbox } from '../../../src/runtime/driver.ts';
import { drain, patience, readUntil, runSandbox, specOf } from '../../support/run-sandbox.ts';
import { python, runPython, type Subject } from './subject.ts';

/** Signals whose default is to end a process. */
const deadly: readonly SignalName[] = [
  ...(['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGILL', 'SIGTRAP', 'SIGABRT', 'SIGBUS', 'SIGFPE'] as const),
  ...(['SIGKILL', 'SIGUSR1', 'SIGSEGV', 'SIGUSR2', 'SIGPIPE', 'SIGALRM', 'SIGTERM'] as const),
  ...(['SIGSTKFLT', 'SIGXCPU', 'SIGXFSZ', 'SIGVTALRM', 'SIGPROF', 'SIGIO', 'SIGPWR', 'SIGSYS'] as const),
];

/** Real faults: these the kernel delivers to the first process of a sandbox too. */
const faults: Readonly<Partial<Record<SignalName, string>>> = {
  SIGSEGV: 'import ctypes; ctypes.string_at(0)',
  SIGBUS:
    'import mmap, os; f = open("/tmp/x", "w+"); f.truncate(4096); m = mmap.mmap(f.fileno(), 4096); f.truncate(0); m[0]',
  ...(process.arch === 'x64' ? { SIGFPE: machineCode('31c9f7f1c3'), SIGILL: machineCode('0f0b') } : {}),
};

/** Division by zero and an undefined instruction are written in the processor's own language. */
function machineCode(hex: string): string {
  return `import ctypes, mmap
area = mmap.mmap(-1, 4096, prot=7)
area.write(bytes.fromhex("${hex}"))
ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(area)))()`;
}

export function describeExit(subject: Subject): void {
  describe('exit', () => {
    for (const code of [0, 1, 2, 42, 126, 127, 128, 160, 200, 255]) {
      test(`exit code ${code}`, async () => {
        const { status } = await runPython(subject, `raise SystemExit(${code})`);
        assert.deepEqual(without(status), { kind: 'exited', code });
      });
    }

    // Foreground runtimes say 128 + n for both; it is read as a shell reads it.
    for (const signal of deadly) {
      test(`a shell whose command died of ${signal} tells so by its exit code, which is read as that`, async () => {
        const number = signalNumber(signal);
        const child = `import os, signal
if ${number} != 9: signal.signal(${number}, signal.SIG_DFL)
os.kill(os.getpid(), ${number})`;
        const { driver, image } = subject();
        const argv = ['sh', '-c', 'python3 -c "$1"; exit $?', 'sh', child];
        const { status } = await runSandbox(driver, { image, argv });
        assert.deepEqual(without(status), { kind: 'signaled', signal });
      });
    }

    for (const [signal, source] of Object.entries(faults)) {
      test(`a fault of the first process: ${signal}`, async () => {
        const { status, stderr } = await runPython(subject, source);
        assert.deepEqual(without(status), { kind: 'signaled', signal }, stderr.toString());
      });
    }

    test('a call of another architecture is SIGSYS', async () => {
      const source = 'import ctypes; ctypes.CDLL(None).syscall(0x40000000 | 39)';
      const { status } = await runPython(subject, source);
      if (process.arch === 'x64') assert.deepEqual(without(status), { kind: 'signaled', signal: 'SIGSYS' });
      else assert.deepEqual(without(status), { kind: 'exited', code: 0 });
    });

    test('a program that does not exist ends with 127, one that cannot be executed with 126', async () => {
      const { driver, image } = subject();
      for (const missing of ['/no/such/program', 'no-such-program']) {
        const { status } = await runSandbox(driver, { image, argv: [missing] });
        assert.deepEqual(without(status), { kind: 'exited', code: 127 }, missing);
      }
      for (const useless of ['/etc/passwd', '/etc']) {
        const { status } = await runSandbox(driver, { image, argv: [useless] });
        assert.deepEqual(without(status), { kind: 'exited', code: 126 }, useless);
      }
    });

    test('it says on stderr why a program could not be started', async () => {
      const { driver, image } = subject();
      const { stderr } = await runSandbox(driver, { image, argv: ['no-such-program'] });
      assert.match(stderr.toString(), /no-such-program/);
    });

    test('the end of the first process is the end of all', async () => {
      const source = 'import os, time\nif os.fork() == 0: time.sleep(600)\nraise SystemExit(4)';
      const { status } = await runPython(subject, source);
      assert.deepEqual(without(status), { kind: 'exited', code: 4 });
    });

    test('stop lets a handler finish within its grace', async () => {
      await using sandbox = await start(
        subject,
        `import os, signal
signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b"handled"), os._exit(6)))
print("begun", flush=True)
while True: signal.pause()`,
      );
      const logs = sandbox.logs(patience())[Symbol.asyncIterator]();
      await readUntil(logs, 'begun');
      const [rest] = await Promise.all([drain(logs), sandbox.stop(30_000)]);
      assert.match(rest, /handled/);
      assert.deepEqual(without(await sandbox.wait(patience())), { kind: 'exited', code: 6 });
    });

    test('stop kills what does not heed SIGTERM, after the grace', async () => {
      await using sandbox = await start(subject, ignoringTerm);
      const logs = sandbox.logs(patience())[Symbol.asyncIterator]();
      await readUntil(logs, 'begun');
      const begun = Date.now();
      await Promise.all([drain(logs), sandbox.stop(300)]);
      assert.deepEqual(without(await sandbox.wait(patience())), { kind: 'signaled', signal: 'SIGKILL' });
      assert.ok(Date.now() - begun >= 300, 'the grace was given');
    });

    test('stop without grace kills at once', async () => {
      await using sandbox = await start(subject, ignoringTerm);
      const logs = sandbox.logs(patience())[Symbol.asyncIterator]();
      await readUntil(logs, 'begun');
      await Promise.all([drain(logs), sandbox.stop(0)]);
      assert.deepEqual(without(await sandbox.wait(patience())), { kind: 'signaled', signal: 'SIGKILL' });
    });

    test('a program without a handler ends at the latest when the grace does', async () => {
      await using sandbox = await start(subject, 'print("begun", flush=True)\nimport time\ntime.sleep(600)');
      const logs = sandbox.logs(patience())[Symbol.asyncIterator]();
      await readUntil(logs, 'begun');
      await Promise.all([drain(logs), sandbox.stop(200)]);
      const status = await sandbox.wait(patience());
      assert.ok(status.kind === 'signaled' && ['SIGTERM', 'SIGKILL'].includes(status.signal));
    });

    test('stop right after start, twice, and after the end', async () => {
      await using sandbox = await start(subject, ignoringTerm);
      await Promise.all([sandbox.stop(0), sandbox.stop(0)]);
      await drain(sandbox.logs(patience())[Symbol.asyncIterator]());
      assert.equal((await sandbox.wait(patience())).kind, 'signaled');
      await sandbox.stop(0);
    });

    test('stop whose grace is cut short by a second stop', async () => {
      await using sandbox = await start(subject, ignoringTerm);
      const logs = sandbox.logs(patience())[Symbol.asyncIterator]();
      await readUntil(logs, 'begun');
      const patient = sandbox.stop(600_000);
      await Promise.all([drain(logs), sandbox.stop(0), patient]);
      assert.equal((await sandbox.wait(patience())).kind, 'signaled');
    });
  });
}

const ignoringTerm = `import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("begun", flush=True)
while True: signal.pause()`;

async function start(subject: Subject, source: string): Promise<Sandbox> {
  const { driver, image } = subject();
  const sandbox = await driver.create(specOf({ image, argv: python(source), streams: 'merged' }), patience());
  await sandbox.start(patience());
  return sandbox;
}

/** The status without what it used. */
function without<Status extends { usage: unknown }>(status: Status): Omit<Status, 'usage'> {
  const { usage: _, ...rest } = status;
  return rest;
}
