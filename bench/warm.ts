/** A script that imports pandas, over HTTP, from a ready sandbox: beside the same script with the pool switched off. */
import { setTimeout as delay } from 'node:timers/promises';
import { type ServiceProcess, startServiceProcess } from '../tests/support/service.ts';
import { type Finding, measure } from './measure.ts';
import { runScript } from './run-script.ts';

const source = 'import pandas\nprint(pandas.__version__)';
/** Long enough for the next sandbox to be ready on a busy machine: what is measured is the claim, not the refill. */
const refillMs = 1500;

export async function warm(rounds: number): Promise<Finding[]> {
  await using cold = await startServiceProcess({ settings: { SLIPWAY_WARM_MAX: '0' } });
  await using ready = await startServiceProcess({ settings: { SLIPWAY_WARM_MAX: '2' } });
  const afterRefill = async (service: ServiceProcess) => {
    await delay(refillMs);
    return await runScript(service, source);
  };
  const [first, second] = await measure(
    [
      { name: 'cold', once: () => runScript(cold, source) },
      { name: 'warm', once: () => afterRefill(ready) },
    ],
    Math.ceil(rounds / 2),
  );
  if (first === undefined || second === undefined) throw new Error('nothing was measured');
  return [
    {
      what: 'submit to result over HTTP from a ready sandbox, pandas imported',
      value: second.medianMs,
      unit: 'ms',
      baseline: `without the pool: ${first.medianMs.toFixed(1)} ms`,
      ratio: second.medianMs / first.medianMs,
      target: null,
      reached: null,
    },
  ];
}
