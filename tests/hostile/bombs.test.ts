/**
 * Programs that use up what there is: each meets its limit, the others go on, and afterwards nothing is left.
 * Outside, with a bound just above the limit, each goes further than the sandbox let it.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Limits } from '../../src/model/limits.ts';
import { drain, patience, readUntil } from '../support/run-sandbox.ts';
import { runOutside } from './programs.ts';
import { createStage } from './stage.ts';

const mib = 1024 * 1024;

interface Bomb {
  readonly name: string;
  readonly directory?: string;
  readonly limits: Partial<Limits>;
  /** The most that it may reach inside. */
  readonly most: number;
  /** What stops it inside: an errno, or the sandbox's memory limit. */
  readonly end: RegExp;
  /** What it reaches outside, where nothing stops it: more than `most`. */
  readonly bound: number;
}

const smallMemory = { memoryBytes: 64 * mib };
const killed = /oom-killed/;

const bombs: readonly Bomb[] = [
  { name: 'fork', limits: { pids: 50 }, most: 50, end: /EAGAIN/, bound: 100 },
  { name: 'zombies', limits: { pids: 50 }, most: 50, end: /EAGAIN/, bound: 100 },
  { name: 'threads', limits: { pids: 50 }, most: 50, end: /EAGAIN/, bound: 100 },
  { name: 'memory', limits: smallMemory, most: 64, end: killed, bound: 128 },
  { name: 'memfd', limits: smallMemory, most: 64, end: killed, bound: 128 },
  { name: 'shared_mapping', limits: smallMemory, most: 64, end: killed, bound: 128 },
  { name: 'sysv_shm', limits: smallMemory, most: 64, end: /oom-killed|EPERM|ENOSPC/, bound: 128 },
  { name: 'message_queues', limits: smallMemory, most: 32_000, end: /oom-killed|EPERM|ENOSPC/, bound: 2000 },
  { name: 'pipes', limits: smallMemory, most: 1000, end: /oom-killed|EMFILE|EPERM/, bound: 64 },
  { name: 'unix_sockets', limits: smallMemory, most: 600, end: /oom-killed|EMFILE|ENOBUFS/, bound: 100 },
  { name: 'tcp_sockets', limits: smallMemory, most: 600, end: /oom-killed|EMFILE|ENOBUFS/, bound: 20 },
  { name: 'descriptors', limits: { openFiles: 200 }, most: 200, end: /EMFILE/, bound: 300 },
  { name: 'epolls', limits: { openFiles: 400 }, most: 400, end: /EMFILE|ENOSPC/, bound: 40 },
  { name: 'timers', limits: smallMemory, most: 200_000, end: /oom-killed|EAGAIN/, bound: 100 },
  { name: 'inotify', limits: {}, most: 1024, end: /EMFILE|EPERM/, bound: 50 },
  { name: 'locks', limits: smallMemory, most: 1_000_000, end: /oom-killed|ENOLCK/, bound: 2000 },
  { name: 'fill', directory: '/dev/shm', limits: { tmpBytes: 8 * mib }, most: 8, end: /ENOSPC/, bound: 16 },
  { name: 'fill', directory: '/tmp', limits: { tmpBytes: 8 * mib }, most: 8, end: /ENOSPC/, bound: 16 },
  {
    name: 'fill',
    directory: '/tmp',
    limits: { tmpBytes: 200 * mib, memoryBytes: 64 * mib },
    most: 64,
    end: killed,
    bound: 80,
  },
  {
    name: 'fill',
    directory: '/work',
    limits: { workBytes: 8 * mib },
    most: 8,
    end: /ENOSPC|EDQUOT/,
    bound: 16,
  },
  {
    name: 'files',
    directory: '/work',
    limits: { workInodes: 500 },
    most: 500,
    end: /ENOSPC|EDQUOT/,
    bound: 600,
  },
];

describe('bombs', () => {
  const stage = createStage();

  for (const bomb of bombs) {
    const title = [bomb.name, bomb.directory, JSON.stringify(bomb.limits)].filter(Boolean).join(' ');
    test(title, async () => {
      const args = bomb.directory === undefined ? [bomb.name] : [bomb.name, bomb.directory];
      const { status, stdout } = await stage.attack('bombs', args, {
        limits: bomb.limits,
        collect: { patterns: [] },
      });
      const [count, errno] = stdout.toString().trim().split(' ');
      const end = status.kind === 'oom-killed' ? 'oom-killed' : (errno ?? '');
      assert.match(end, bomb.end, `${JSON.stringify(status)} ${stdout}`);
      if (end !== 'oom-killed') assert.ok(Number(count) <= bomb.most, `it came to ${count}`);
      const { memoryPeakBytes } = status.usage;
      const limit = bomb.limits.memoryBytes ?? 512 * mib;
      if (memoryPeakBytes !== null) assert.ok(memoryPeakBytes <= limit + 2 * mib, `${memoryPeakBytes} bytes`);
      await assertGoesFurtherOutside(bomb, args);
    });
  }

  async function assertGoesFurtherOutside(bomb: Bomb, args: readonly string[]): Promise<void> {
    const place = bomb.directory === '/work' ? [bomb.name, '/tmp'] : args;
    const { stdout } = await runOutside('bombs', ...place, String(bomb.bound));
    assert.equal(stdout.trim(), `${bomb.bound} bound`);
  }

  test('a fork bomb of processes that never stop: others run meanwhile, and it ends when told', async () => {
    const bomb = await stage.launch('bombs', ['fork_forever'], { limits: { pids: 200 } });
    const logs = bomb.logs(patience())[Symbol.asyncIterator]();
    await readUntil(logs, 'begun');
    await stage.canary();
    await stage.canary();
    await Promise.all([bomb.stop(0), drain(logs)]);
    assert.equal((await bomb.wait(patience())).kind, 'signaled');
    await bomb.destroy();
    await stage.assertUnharmed();
  });

  test('a fork bomb that is destroyed without being stopped', async () => {
    const bomb = await stage.launch('bombs', ['fork_forever'], { limits: { pids: 200 } });
    const logs = bomb.logs(patience())[Symbol.asyncIterator]();
    await readUntil(logs, 'begun');
    await Promise.all([bomb.destroy(), drain(logs)]);
    await stage.assertUnharmed();
  });

  test('a thousand busy children get their share, and no more', async () => {
    const greedy = await stage.launch('bombs', ['many_spinners'], { limits: { cpus: 0.5, pids: 1200 } });
    const logs = greedy.logs(patience())[Symbol.asyncIterator]();
    await readUntil(logs, 'begun');
    await stage.canary();
    await Promise.all([greedy.stop(0), drain(logs)]);
    const { usage } = await greedy.wait(patience());
    await greedy.destroy();
    assert.ok(usage.cpuMs !== null && usage.cpuMs / usage.wallMs <= 0.5 * 1.3, JSON.stringify(usage));
    await stage.assertUnharmed();
  });

  test('a CPU spinner ends when it is told, and its time is told', async () => {
    const spinner = await stage.launch('bombs', ['spin']);
    const logs = spinner.logs(patience())[Symbol.asyncIterator]();
    await readUntil(logs, 'begun');
    await stage.canary();
    await Promise.all([spinner.stop(0), drain(logs)]);
    const { kind, usage } = await spinner.wait(patience());
    assert.equal(kind, 'signaled');
    assert.ok(usage.cpuMs !== null && usage.cpuMs > 10, JSON.stringify(usage));
    await spinner.destroy();
    await stage.assertUnharmed();
  });

  test('a crash with much memory leaves no core', async () => {
    const { status, files } = await stage.attack('bombs', ['crash']);
    assert.ok(status.kind === 'signaled' && status.signal === 'SIGSEGV', JSON.stringify(status));
    assert.deepEqual(files, []);
    const outside = await runOutside('bombs', 'crash');
    assert.equal(outside.code === 139 || outside.signal === 'SIGSEGV', true, JSON.stringify(outside));
  });

  test('a full work directory is full for nobody else', async () => {
    const limits = { workBytes: 8 * mib };
    const greedy = await stage.launch('bombs', ['fill', '/work'], { limits });
    assert.match(await drain(greedy.logs(patience())[Symbol.asyncIterator]()), /ENOSPC|EDQUOT/);
    const { stdout } = await stage.run('bombs', ['fill', '/work', '4'], { limits });
    assert.equal(stdout.toString(), '4 bound\n');
    await greedy.destroy();
    await stage.assertUnharmed();
  });

  test('100 000 files and a deep tree are cleaned up', async () => {
    const limits = { workInodes: 200_000, memoryBytes: 1024 * mib };
    for (const args of [
      ['files', '/work', '100000'],
      ['deep', '/work', '5000'],
    ]) {
      const { stdout } = await stage.attack('bombs', args, { limits, collect: { patterns: [] } });
      assert.match(stdout.toString(), /bound|ENOSPC|ENAMETOOLONG/);
    }
  });
});
