/** A sandboxed bare Python through the `oci` driver, beside plain `runc run` of the same image. */

import { randomText } from '../src/base/ids.ts';
import type { Image } from '../src/model/image.ts';
import { defaultLimits } from '../src/model/limits.ts';
import type { RuntimeDriver } from '../src/runtime/driver.ts';
import { type Figures, type Finding, measure } from './measure.ts';
import { openPlainRunc } from './plain-runc.ts';
import { openStage } from './stage.ts';

export const pythonArgv = ['/usr/bin/python3', '-c', 'pass'];
const never = new AbortController().signal;

export async function coldStart(rounds: number): Promise<Finding[]> {
  await using stage = await openStage();
  await using plain = await openPlainRunc(await stage.images.rootfs(stage.python));
  const figures = await measure(
    [
      { name: 'runc', once: () => plain.run(pythonArgv) },
      { name: 'driver', once: () => runPython(stage.driver, stage.python) },
    ],
    rounds,
  );
  return [toFinding(figures)];
}

/** @returns the time from `create` to the measured end, in ms; removing it comes after */
export async function runPython(driver: RuntimeDriver, image: Image): Promise<number> {
  const started = performance.now();
  const use = { kind: 'command', argv: pythonArgv, streams: 'separate' } as const;
  const spec = { id: randomText(16), image, use, env: {}, limits: defaultLimits };
  await using sandbox = await driver.create(spec, never);
  await sandbox.start(never);
  sandbox.stdin.end();
  for await (const _chunk of sandbox.logs(never));
  const status = await sandbox.wait(never);
  if (status.kind !== 'exited' || status.code !== 0) throw new Error(`it ended as ${JSON.stringify(status)}`);
  return performance.now() - started;
}

function toFinding([runc, driver]: readonly Figures[]): Finding {
  const ratio = (driver?.medianMs ?? Number.NaN) / (runc?.medianMs ?? Number.NaN);
  return {
    what: 'cold start of a sandboxed bare Python',
    value: driver?.medianMs ?? Number.NaN,
    unit: 'ms',
    baseline: `plain runc run: ${runc?.medianMs.toFixed(1)} ms`,
    ratio,
    target: 'at most 1.3 ×',
    reached: ratio <= 1.3,
  };
}
