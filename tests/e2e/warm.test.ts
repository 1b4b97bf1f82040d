/** Ready sandboxes, seen from outside: they come with modules loaded, serve one run, and take inputs late. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { SubmitRequestInput } from '../../src/api/submit-request.ts';
import { type ServiceProcess, startServiceProcess } from '../support/service.ts';
import { until } from '../support/until.ts';

/** Says whether pandas was there before the script asked for it; then what an earlier run could have left. */
const source = `
import os, random, sys
warm = "pandas" in sys.modules
import pandas
left = [os.path.exists("/tmp/left"), os.path.exists("/work/left"), os.environ.get("SECRET"), hasattr(pandas, "left")]
for path in ("/tmp/left", "/work/left"):
    open(path, "w").close()
pandas.left = True
inputs = sorted(os.listdir("/data"))
print(warm, left, random.random(), inputs, open("/data/" + inputs[0]).read() if inputs else "")
`;

describe('ready sandboxes', () => {
  let service: ServiceProcess;

  before(async () => {
    service = await startServiceProcess({ settings: { SLIPWAY_WARM_MAX: '1' } });
  });
  after(() => service[Symbol.asyncDispose]());

  async function run(change: Partial<SubmitRequestInput> = {}): Promise<string> {
    const { id } = await service.client.submitRun({ script: { source }, outputs: [], ...change });
    const { state, output } = await service.client.waitRun(id);
    assert.equal(state, 'succeeded', output?.stdout);
    return output?.stdout ?? '';
  }

  /** Runs until a run was served by a ready sandbox; each of them must be untouched. */
  async function warmRun(change: Partial<SubmitRequestInput> = {}): Promise<string> {
    return await until('a run finds a ready sandbox', async () => {
      const line = await run(change);
      assert.match(line, /^(True|False) \[False, False, (None|'mine'), False\] /);
      return line.startsWith('True') && line;
    });
  }

  it('come with the modules that the scripts import, after the first', async () => {
    assert.match(await run(), /^False /);
    await warmRun();
  });

  it('serve one run each: nothing of another is there, and chance is fresh', async () => {
    const lines = [await warmRun({ env: { SECRET: 'mine' } }), await warmRun(), await warmRun()];
    assert.match(lines[0] ?? '', /'mine'/);
    assert.equal(lines.filter((line) => line.includes('mine')).length, 1);
    const numbers = lines.map((line) => /0\.\d+/.exec(line)?.[0]);
    assert.equal(new Set(numbers).size, 3, numbers.join());
  });

  it('take input files when they are claimed', async () => {
    const line = await warmRun({ inputs: [{ path: 'late.csv', text: 'a,b' }] });
    assert.match(line, /\['late\.csv'\] a,b\n$/);
  });

  it('count for a run only what it used itself', async () => {
    await warmRun();
    const { runs } = await service.client.listRuns({ limit: 1 });
    const used = runs[0]?.usage;
    assert.ok(
      used && used.cpuMs !== null && used.cpuMs < 300,
      `importing pandas takes longer: ${used?.cpuMs} ms`,
    );
  });
});
