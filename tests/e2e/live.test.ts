/** Following runs of the real service: over restarts, and with readers that are slow or gone. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { SubmitRequestInput } from '../../src/api/submit-request.ts';
import { formatBytes } from '../../src/base/units.ts';
import type { LogRecord } from '../../src/model/output-log.ts';
import { type ServiceProcess, startServiceProcess } from '../support/service.ts';
import { until } from '../support/until.ts';

const main = path.join(import.meta.dirname, '..', '..', 'src', 'main.ts');

/** Prints numbers, a hundred lines a second, for as long as it lives. */
const counting =
  'import time\nn = 0\nwhile True:\n    print(n, flush=True)\n    n += 1\n    time.sleep(0.01)';

function script(source: string, limits: SubmitRequestInput['limits'] = {}): SubmitRequestInput {
  return { script: { source }, limits };
}

function textOf(records: readonly LogRecord[]): string {
  return Buffer.concat(
    records.map((record) => (record.kind === 'output' ? record.bytes : Buffer.of())),
  ).toString();
}

/** That lines of numbers have none missing and none twice. */
function assertCounted(text: string, atLeast: number): void {
  const lines = text.split('\n').slice(0, -1);
  assert.ok(lines.length >= atLeast, `${lines.length} lines`);
  assert.deepEqual(lines, [...lines.keys()].map(String));
}

describe('following a run', () => {
  let service: ServiceProcess;

  before(async () => {
    service = await startServiceProcess({ settings: { SLIPWAY_CONCURRENCY: '1' } });
  });
  after(() => service[Symbol.asyncDispose]());

  it('survives the death of the control plane: every byte comes once, and then the true end', async () => {
    const { id } = await service.client.submitRun(script(counting));
    const lost: string[] = [];
    const records: LogRecord[] = [];
    let states = '';
    const options = { onLost: (reason: string) => void lost.push(reason) };
    for await (const update of service.client.followRun(id, options)) {
      if (update.kind === 'state' || update.kind === 'finished') states += `(${update.run.state})`;
      else if (records.push(update) === 50) await service.kill('control-plane');
    }
    assert.match(states, /^(\((submitted|queued|preparing)\))*\(running\)\(lost\)$/);
    assert.equal(lost.length, 1, lost.join('\n'));
    assertCounted(textOf(records), 50);
    assert.equal(textOf(records), textOf(await Array.fromAsync(service.client.readLog(id))));
  });

  it('survives a restart of the service, and goes on with a run that waited', async () => {
    const busy = await service.client.submitRun(script(counting, { wallTimeMs: 3000 }));
    const waiting = await service.client.submitRun(script('for n in range(300): print(n)'));
    await until('one runs', async () => (await service.client.getRun(busy.id)).state === 'running');
    const records: LogRecord[] = [];
    const states: string[] = [];
    let restarted: Promise<void> | undefined;
    for await (const update of service.client.followRun(waiting.id)) {
      if (update.kind === 'output' || update.kind === 'cut') records.push(update);
      else states.push(update.run.state);
      restarted ??= service.restart();
    }
    await restarted;
    assert.equal(states[0], 'queued');
    assert.equal(states.at(-1), 'succeeded');
    assertCounted(textOf(records), 300);
    assert.equal((await service.client.getRun(busy.id)).state, 'timed-out', 'it was let to end');
  });

  it('goes on for the command line too, which says why it paused', async () => {
    const { id } = await service.client.submitRun(script(counting));
    const env = { PATH: service.env['PATH'], SLIPWAY_URL: service.url, SLIPWAY_TOKEN: service.token };
    const child = spawn(process.execPath, [main, 'runs', 'logs', '-f', id], { env, stdio: 'pipe' });
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text) => {
      stderr += text;
    });
    const closed = once(child, 'close');
    await until('there is output', () => stdout.length > 100);
    await service.kill('control-plane');
    await closed;
    assert.equal(child.exitCode, 0, stderr);
    assert.match(stderr, /^slipway: .* Trying again\.\n$/);
    assertCounted(stdout, 30);
    assert.equal(stdout, textOf(await Array.fromAsync(service.client.readLog(id))));
  });

  it('costs nothing when readers take nothing or vanish', async (t) => {
    const chunk = 65_536;
    const source = `import os\nfor n in range(800): os.write(1, bytes([n % 256]) * ${chunk})`;
    const large = script(source, { outputBytes: 60_000_000, keptOutputBytes: 60_000_000 });
    const pid = service.controlPlanePid();
    assert.ok(pid);
    const alone = await peakWhile(pid, async () => {
      await service.client.waitRun((await service.client.submitRun(large)).id);
    });
    const { id } = await service.client.submitRun(large);
    const descriptors = () => readdirSync(`/proc/${pid}/fd`).length;
    const before = descriptors();
    const stalled = await Promise.all(Array.from({ length: 8 }, () => openAndStall(id)));
    const among = await peakWhile(pid, async () => {
      let position = 0;
      for await (const record of service.client.followLog(id)) {
        assert.ok(record.kind === 'output');
        for (const byte of record.bytes) assert.equal(byte, Math.floor(position++ / chunk) % 256);
      }
      assert.equal(position, 800 * chunk);
    });
    const told = `${formatBytes(alone)} without, ${formatBytes(among)} with eight stalled readers`;
    t.diagnostic(told);
    assert.ok(among - alone < 150_000_000, told); // unbounded, they would hold 560 MB
    for (const request of stalled) request.destroy();
    await until('their descriptors are closed', () => descriptors() <= before);
  });

  /** A reader that takes the headers and then nothing. */
  async function openAndStall(id: string): Promise<http.ClientRequest> {
    const headers = { authorization: `Bearer ${service.token}` };
    const request = http.get(`${service.url}/v1/runs/${id}/events`, { headers, agent: false });
    request.on('error', () => undefined); // it is destroyed at the end
    const [response] = await once(request, 'response');
    assert.equal(response.statusCode, 200);
    return request;
  }
});

/** The largest resident size of a process that is seen while something is done, in bytes. */
async function peakWhile(pid: number, work: () => Promise<void>): Promise<number> {
  let peak = 0;
  let isDone = false;
  const done = work().finally(() => {
    isDone = true;
  });
  await until(
    'the work is done',
    () => {
      const resident = /^VmRSS:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
      peak = Math.max(peak, Number(resident) * 1024);
      return isDone;
    },
    { deadlineMs: 120_000 },
  );
  await done;
  return peak;
}
