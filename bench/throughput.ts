/** Scripts per second over HTTP with their output stored, beside plain `runc run`, both two at a time. */
import { startServiceProcess } from '../tests/support/service.ts';
import { pythonArgv } from './cold-start.ts';
import type { Finding } from './measure.ts';
import { openPlainRunc } from './plain-runc.ts';
import { runScript } from './run-script.ts';
import { openStage } from './stage.ts';

const parallel = 2;

export async function throughput(rounds: number): Promise<Finding[]> {
  const count = rounds * 5;
  const plain = await plainRate(count);
  await using service = await startServiceProcess();
  const ours = await rate(count, () => runScript(service, 'print(6 * 7)'));
  return [
    {
      what: 'scripts per second over HTTP, output stored',
      value: ours,
      unit: '/s',
      baseline: `plain runc run of bare Python: ${plain.toFixed(1)}/s`,
      ratio: ours / plain,
      target: 'at least 25/s',
      reached: ours >= 25,
    },
  ];
}

async function plainRate(count: number): Promise<number> {
  await using stage = await openStage();
  const rootfs = await stage.images.rootfs(stage.python);
  await using first = await openPlainRunc(rootfs);
  await using second = await openPlainRunc(rootfs);
  const workers = [first, second];
  return await rate(count, (worker) => (workers[worker] ?? first).run(pythonArgv));
}

/** Operations per second, `parallel` at a time; the first few are a warm-up. */
async function rate(count: number, once: (worker: number) => Promise<unknown>): Promise<number> {
  await Promise.all(Array.from({ length: parallel }, (_, worker) => once(worker)));
  let left = count;
  const started = performance.now();
  const work = async (worker: number) => {
    while (left-- > 0) await once(worker);
  };
  await Promise.all(Array.from({ length: parallel }, (_, worker) => work(worker)));
  return count / ((performance.now() - started) / 1000);
}
