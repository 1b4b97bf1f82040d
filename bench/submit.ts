/** From `POST /v1/runs?wait` of a one-line script to its result, beside the cold start of the same sandbox. */
import { startServiceProcess } from '../tests/support/service.ts';
import { runPython } from './cold-start.ts';
import { type Finding, measure } from './measure.ts';
import { runScript } from './run-script.ts';
import { openStage } from './stage.ts';

export async function submitToResult(rounds: number): Promise<Finding[]> {
  await using stage = await openStage();
  await using service = await startServiceProcess({ settings: { SLIPWAY_WARM_MAX: '0' } });
  await using ready = await startServiceProcess();
  const [driver, http, warm] = await measure(
    [
      { name: 'driver', once: () => runPython(stage.driver, stage.python) },
      { name: 'http', once: () => runScript(service, 'print(6 * 7)') },
      { name: 'warm', once: () => runScript(ready, 'print(6 * 7)') },
    ],
    rounds,
  );
  if (driver === undefined || http === undefined || warm === undefined)
    throw new Error('nothing was measured');
  const moreMs = http.medianMs - driver.medianMs;
  return [
    {
      what: 'submit to result over HTTP, above the cold start',
      value: moreMs,
      unit: 'ms',
      baseline: `cold start ${driver.medianMs.toFixed(1)} ms, submit to result ${http.medianMs.toFixed(1)} ms`,
      ratio: http.medianMs / driver.medianMs,
      target: 'at most 60 ms more',
      reached: moreMs <= 60,
    },
    {
      what: 'the same from a ready sandbox',
      value: warm.medianMs,
      unit: 'ms',
      baseline: `started when it is needed ${http.medianMs.toFixed(1)} ms`,
      ratio: warm.medianMs / http.medianMs,
      target: null,
      reached: null,
    },
  ];
}
