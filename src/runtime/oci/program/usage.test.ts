import assert from 'node:assert/strict';
import { test } from 'node:test';
import { blockFigures, cpuFigures, type Figures, memoryFigures } from './usage.ts';

function figures(version: 1 | 2, files: Readonly<Record<string, string>>): Figures {
  return { version, read: (file) => files[file] };
}

const nothing = { v1: figures(1, {}), v2: figures(2, {}) };

test('memory, v1: the peak and the kills of Linux 6.18', () => {
  const read = figures(1, {
    'memory.max_usage_in_bytes': '536870912\n',
    'memory.oom_control': 'oom_kill_disable 0\nunder_oom 0\noom_kill 3\n',
  });
  assert.deepEqual(memoryFigures(read), { memoryPeakBytes: 536_870_912, oomKills: 3 });
});

test('memory, v2: the peak and the kills of Linux 6.1', () => {
  const read = figures(2, {
    'memory.peak': '3555328\n',
    'memory.events': 'low 0\nhigh 0\nmax 17\noom 2\noom_kill 1\noom_group_kill 0\n',
  });
  assert.deepEqual(memoryFigures(read), { memoryPeakBytes: 3_555_328, oomKills: 1 });
});

test('processor time, v1: nanoseconds and ticks', () => {
  const read = figures(1, { 'cpuacct.usage': '129123456\n', 'cpuacct.stat': 'user 2\nsystem 11\n' });
  assert.deepEqual(cpuFigures(read), { cpuMs: 129.123, cpuUserMs: 20, cpuSystemMs: 110 });
});

test('processor time, v2: microseconds', () => {
  const read = figures(2, {
    'cpu.stat': 'usage_usec 51234\nuser_usec 41000\nsystem_usec 10234\nnr_periods 3\nnr_throttled 0\n',
  });
  assert.deepEqual(cpuFigures(read), { cpuMs: 51.234, cpuUserMs: 41, cpuSystemMs: 10.234 });
});

test('block devices, v1: reads and writes of all devices, not their totals', () => {
  const read = figures(1, {
    'blkio.throttle.io_service_bytes_recursive':
      '254:0 Read 4096\n254:0 Write 8192\n254:0 Sync 12288\n254:0 Total 12288\n7:0 Read 1\n7:0 Write 2\nTotal 12291\n',
  });
  assert.deepEqual(blockFigures(read), { readBytes: 4097, writtenBytes: 8194 });
});

test('block devices, v2: discarded bytes are not written ones', () => {
  const read = figures(2, {
    'io.stat':
      '254:0 rbytes=1000 wbytes=2000 rios=1 wios=2 dbytes=99 dios=9\n7:0 rbytes=1 wbytes=2 rios=1 wios=1\n',
  });
  assert.deepEqual(blockFigures(read), { readBytes: 1001, writtenBytes: 2002 });
});

test('a device file without lines means that nothing was read or written', () => {
  assert.deepEqual(blockFigures(figures(2, { 'io.stat': '' })), { readBytes: 0, writtenBytes: 0 });
});

test('what the host has no file for is null, never 0', () => {
  for (const read of [nothing.v1, nothing.v2]) {
    assert.deepEqual(memoryFigures(read), { memoryPeakBytes: null, oomKills: null });
    assert.deepEqual(cpuFigures(read), { cpuMs: null, cpuUserMs: null, cpuSystemMs: null });
    assert.deepEqual(blockFigures(read), { readBytes: null, writtenBytes: null });
  }
});

test('a text of another form is null too', () => {
  const read = figures(2, {
    'memory.peak': 'max\n',
    'memory.events': 'oom 1\n',
    'cpu.stat': 'usage_usec many\n',
  });
  assert.deepEqual(memoryFigures(read), { memoryPeakBytes: null, oomKills: null });
  assert.equal(cpuFigures(read).cpuMs, null);
});
