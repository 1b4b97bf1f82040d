/** The figures of a run, plausible from both sides; null only where the probe says that it cannot be measured. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ExitStatus, Usage } from '../../../src/model/usage.ts';
import { endStdin, patience, specOf } from '../../support/run-sandbox.ts';
import { python, runPython, type Subject } from './subject.ts';

const mib = 1024 * 1024;

export function describeUsage(subject: Subject): void {
  /** A figure, or undefined where the probe says that this host has none. */
  const figure = async (
    status: ExitStatus,
    name: Exclude<keyof Usage, 'egress'>,
  ): Promise<number | undefined> => {
    const { measures } = await subject().driver.probe(patience());
    const value = status.usage[name];
    assert.equal(value !== null, measures.includes(name), `${name} is ${value}; the probe says ${measures}`);
    return value ?? undefined;
  };
  const assertWithin = (value: number | undefined, least: number, most: number) => {
    if (value !== undefined) assert.ok(value >= least && value <= most, `${value}: not in ${least}..${most}`);
  };

  describe('usage', () => {
    test('every figure that the probe promises is a number, and no other', async () => {
      const { status } = await runPython(subject, 'pass');
      const names = ['cpuMs', 'cpuUserMs', 'cpuSystemMs', 'memoryPeakBytes', 'pidsPeak', 'oomKills'] as const;
      for (const name of [...names, 'readBytes', 'writtenBytes', 'wallMs'] as const) {
        if (name !== 'wallMs') await figure(status, name);
        const value = status.usage[name];
        if (value !== null) assert.ok(Number.isFinite(value) && value >= 0, `${name} is ${value}`);
      }
    });

    test('a busy half second is about half a second of CPU', async () => {
      const { status } = await runPython(subject, 'import time\nwhile time.process_time() < 0.5: pass');
      assertWithin(await figure(status, 'cpuMs'), 400, 2500);
      assert.ok(status.usage.wallMs >= 400);
    });

    test('after beginUsage only what comes then counts', async () => {
      const { driver, image } = subject();
      const burn = 'while time.process_time() < 0.6: pass';
      const source = `import time\n${burn}\nprint("ready", flush=True)\ninput()\ntime.sleep(0.2)`;
      await using sandbox = await driver.create(specOf({ image, argv: python(source) }), patience());
      await sandbox.start(patience());
      const logs = sandbox.logs(patience())[Symbol.asyncIterator]();
      await logs.next();
      const { memoryBytes } = await sandbox.beginUsage();
      endStdin(sandbox, '\n');
      while (!(await logs.next()).done);
      const status = await sandbox.wait(patience());
      assertWithin(await figure(status, 'cpuMs'), 0, 500);
      assert.ok(status.usage.wallMs >= 200, `${status.usage.wallMs}`);
      assert.equal(
        memoryBytes !== null,
        (await driver.probe(patience())).measures.includes('memoryPeakBytes'),
      );
    });

    test('the time of children counts, daemons too', async () => {
      const source = `
import os, time
def burn():
    end = time.process_time() + 0.3
    while time.process_time() < end: pass
reader, writer = os.pipe()
if os.fork() == 0:
    if os.fork() == 0:
        os.setsid(); burn(); os.write(writer, b"x")
    os._exit(0)
os.wait()
os.read(reader, 1)`;
      const { status } = await runPython(subject, source);
      assertWithin(await figure(status, 'cpuMs'), 290, 2500);
    });

    test('half a second of sleep is wall time, hardly CPU', async () => {
      const { status } = await runPython(subject, 'import time; time.sleep(0.5)');
      assert.ok(status.usage.wallMs >= 500, `${status.usage.wallMs}`);
      assertWithin(await figure(status, 'cpuMs'), 1, 400);
    });

    test('100 MiB touched are seen, and not seen where nothing was touched', async () => {
      const much = await runPython(subject, 'x = bytearray(100 << 20); x[::4096] = b"1" * len(x[::4096])');
      assertWithin(await figure(much.status, 'memoryPeakBytes'), 90 * mib, 300 * mib);
      const little = await runPython(subject, 'pass');
      assertWithin(await figure(little.status, 'memoryPeakBytes'), mib, 80 * mib);
    });

    test('files in /work and /tmp count as memory', async () => {
      const { status } = await runPython(subject, 'open("/work/a", "wb").write(bytes(60 << 20))', {
        collect: { patterns: [] },
      });
      assertWithin(await figure(status, 'memoryPeakBytes'), 60 * mib, 300 * mib);
    });

    test('twenty processes at once are twenty', async () => {
      const source = `
import os, signal
children = [os.fork() or signal.pause() for _ in range(20)]
for child in children: os.kill(child, signal.SIGKILL)`;
      const { status } = await runPython(subject, source);
      assertWithin(await figure(status, 'pidsPeak'), 20, 40);
    });

    test('an allocation beyond the limit is oom-killed', async () => {
      const { status } = await runPython(
        subject,
        'x = bytearray(400 << 20)\nfor i in range(0, len(x), 4096): x[i] = 1',
        {
          limits: { memoryBytes: 64 * mib },
        },
      );
      assert.equal(status.kind, 'oom-killed');
      assertWithin((await figure(status, 'oomKills')) ?? 0, 1, 100);
      assertWithin(await figure(status, 'memoryPeakBytes'), 32 * mib, 66 * mib);
    });

    test('a child that was OOM-killed while the program ended well: the outcome stands, the kill is told', async () => {
      const source = `
import os
child = os.fork()
if child == 0:
    open("/proc/self/oom_score_adj", "w").write("1000")
    x = bytearray(400 << 20)
    for i in range(0, len(x), 4096): x[i] = 1
_, status = os.waitpid(child, 0)
print(os.WTERMSIG(status))`;
      const { status, stdout } = await runPython(subject, source, { limits: { memoryBytes: 64 * mib } });
      assert.equal(stdout.toString(), '9\n');
      assert.ok(status.kind === 'exited' && status.code === 0, JSON.stringify(status));
      assertWithin(await figure(status, 'oomKills'), 1, 10);
    });

    test('SIGKILL by its own hand is no lack of memory', async () => {
      const source =
        'import os\nchild = os.fork()\nif child == 0: os.kill(os.getpid(), 9)\nos.wait()\nraise SystemExit(1)';
      const { status } = await runPython(subject, source);
      assert.equal(status.kind, 'exited');
      assertWithin(await figure(status, 'oomKills'), 0, 0);
    });
  });
}
