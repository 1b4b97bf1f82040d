/** `npm run bench [-- NAME…] [--json] [--rounds N]`: what is measured and against what is in README.md. */
import { parseArgs } from 'node:util';
import { coldStart } from './cold-start.ts';
import type { Finding } from './measure.ts';
import { store } from './store.ts';
import { submitToResult } from './submit.ts';
import { throughput } from './throughput.ts';
import { warm } from './warm.ts';

const benches: Readonly<Record<string, (rounds: number) => Promise<Finding[]>>> = {
  'cold-start': coldStart,
  submit: submitToResult,
  throughput,
  warm,
  store,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean' }, rounds: { type: 'string', default: '40' } },
});

const findings: Finding[] = [];
for (const name of positionals.length > 0 ? positionals : Object.keys(benches)) {
  const bench = benches[name];
  if (bench === undefined)
    throw new Error(`There is no bench "${name}"; there are ${Object.keys(benches).join(', ')}.`);
  process.stderr.write(`→ ${name}\n`);
  findings.push(...(await bench(Number(values.rounds))));
}
if (values.json) process.stdout.write(`${JSON.stringify(findings, null, 2)}\n`);
else for (const finding of findings) process.stdout.write(`${describe(finding)}\n`);

function describe({ what, value, unit, baseline, ratio, target, reached }: Finding): string {
  const against = ratio === null ? baseline : `${baseline}; ${ratio.toFixed(2)} ×`;
  const verdict = target === null ? '' : ` — target ${target}: ${reached ? 'reached' : 'NOT reached'}`;
  return `${what}: ${value.toFixed(1)} ${unit} (${against})${verdict}`;
}
