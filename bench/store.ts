/** Runs accepted per second by the store, each durable, many at once, beside one after the other. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { systemClock } from '../src/base/clock.ts';
import { createSqliteStore } from '../src/store/sqlite/sqlite-store.ts';
import { samplePrincipal, sampleRun } from '../tests/support/samples.ts';
import type { Finding } from './measure.ts';

const atOnce = 64;

export async function store(rounds: number): Promise<Finding[]> {
  const directory = await mkdtemp(path.join(tmpdir(), 'slipway-bench-'));
  try {
    await using sqlite = await createSqliteStore({
      path: path.join(directory, 'slipway.db'),
      clock: systemClock,
    });
    const principal = samplePrincipal();
    await sqlite.createPrincipal(principal);
    const submit = () => sqlite.submitRun(sampleRun(principal));
    const serial = await rate(rounds * 10, 1, submit);
    const grouped = await rate(rounds * 100, atOnce, submit);
    return [
      {
        what: `runs accepted per second, durable, ${atOnce} callers at once`,
        value: grouped,
        unit: '/s',
        baseline: `one caller: ${serial.toFixed(0)}/s`,
        ratio: grouped / serial,
        target: null,
        reached: null,
      },
    ];
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function rate(count: number, callers: number, once: () => Promise<unknown>): Promise<number> {
  let left = count;
  const started = performance.now();
  const call = async () => {
    while (left-- > 0) await once();
  };
  await Promise.all(Array.from({ length: callers }, call));
  return count / ((performance.now() - started) / 1000);
}
