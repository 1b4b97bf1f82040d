/**
 * A disk without space: what cannot be accepted is refused with the reason, what was accepted waits and ends in a
 * true state, and everything goes on by itself when there is space again.
 */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { isSlipwayError } from '../../src/base/errors.ts';
import { statusOf } from '../../src/http/problem.ts';
import { assertFails } from '../support/assert-fails.ts';
import { type ServiceProcess, startServiceProcess } from '../support/service.ts';
import { createSmallDisk, type SmallDisk } from '../support/small-disk.ts';
import { until } from '../support/until.ts';
import { readOutput } from './judge-run.ts';
import { assertWorks, begun, ended, problemsOf, run, script } from './service-runs.ts';

const mib = 1024 * 1024;
const diskBytes = 48 * mib;

interface Bench extends AsyncDisposable {
  readonly disk: SmallDisk;
  readonly service: ServiceProcess;
}

async function createBench(): Promise<Bench> {
  const disk = createSmallDisk(diskBytes);
  try {
    const service = await startServiceProcess({ stateDir: disk.path });
    return {
      disk,
      service,
      async [Symbol.asyncDispose]() {
        using _disk = disk;
        disk.free();
        await service[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    disk[Symbol.dispose]();
    throw error;
  }
}

async function* bytes(size: number): AsyncGenerator<Uint8Array> {
  for (let left = size; left > 0; left -= mib) yield Buffer.alloc(Math.min(left, mib), 'b');
}

/** Talks for a while and ends by itself. */
const talker = `
import time
for i in range(40):
    print(i, "x" * 20000, flush=True)
    time.sleep(0.05)
open("out.txt", "w").write("y" * 50000)`;
const talk = Array.from({ length: 40 }, (_, i) => `${i} ${'x'.repeat(20_000)}\n`).join('');

describe('a full disk', () => {
  it('refuses what it cannot accept, says why, and goes on when there is space', async () => {
    await using bench = await createBench();
    const { disk, service } = bench;
    const { client } = service;
    const before = await run(service, script('print("before")'));
    disk.fill();
    const refusals = [
      [() => client.submitRun(script('print("new")')), 'blobs-full'],
      [() => client.submitRun({ command: ['true'] }), 'store-full'],
      [() => client.uploadBlob(bytes(mib)), 'blobs-full'],
    ] as const;
    for (const [refuse, code] of refusals) {
      const error = await assertFails(refuse(), code);
      assert.match(error.message, /the disk is full.*[Ff]ree some space/);
      assert.ok(isSlipwayError(error) && statusOf(error) === 503);
    }
    assert.match(await problemsOf(service, 'store'), /the disk is full/);
    assert.equal(await readOutput(client, before.id), 'before\n', 'what is there can be read');
    assert.deepEqual(readdirSync(join(disk.path, 'control', 'blobs', 'incoming')), []);
    disk.free();
    await until('it is ready again', async () => (await client.readiness()).ready);
    await assertWorks(service);
    assert.equal((await client.listRuns()).runs.length, 2, 'what was refused is not there');
  });

  it('holds programs that print, and the ends of runs, until there is space: nothing is missing', async () => {
    await using bench = await createBench();
    const { disk, service } = bench;
    const { client } = service;
    const talking = await client.submitRun(script(talker));
    const ending = await client.submitRun(
      script('import time\nprint("begin", flush=True)\ntime.sleep(1)\nprint("end")'),
    );
    await Promise.all([begun(service, talking.id), begun(service, ending.id)]);
    const waiting = await client.submitRun(script('print("waited")'));
    disk.fill();
    for (const what of [
      /The output of a program cannot be written/,
      /The (end|output) of the run .* cannot be stored/,
    ]) {
      await until(`the service says: ${what}`, () => what.test(service.log));
    }
    assert.equal((await client.getRun(talking.id)).state, 'running');
    assert.equal((await client.getRun(ending.id)).state, 'running');
    disk.free();
    const talked = await ended(client, talking.id);
    assert.equal(talked.state, 'succeeded');
    assert.equal(await readOutput(client, talking.id), talk);
    assert.deepEqual(
      talked.files.map((file) => [file.path, file.sizeBytes]),
      [['out.txt', 50_000]],
    );
    assert.equal((await ended(client, ending.id)).state, 'succeeded');
    assert.equal(await readOutput(client, ending.id), 'begin\nend\n');
    assert.equal((await ended(client, waiting.id)).state, 'succeeded');
    assert.equal(await readOutput(client, waiting.id), 'waited\n');
  });

  it('with result files that do not fit: the run says that they are missing', async () => {
    await using bench = await createBench();
    const { disk, service } = bench;
    const large =
      'print("made", flush=True)\nopen("large", "wb").write(b"x" * 8_000_000)\nopen("small", "w").write("s")';
    disk.fill(4 * mib);
    const result = await run(service, script(large));
    assert.ok(result.outcome?.kind === 'platform-error', JSON.stringify(result.outcome));
    assert.equal(result.outcome.code, 'results-missing');
    assert.match(result.outcome.message, /The program ended \(succeeded\).*the disk is full/);
    assert.deepEqual(
      result.files.map((file) => file.path),
      ['small'],
    );
    assert.equal(await readOutput(service.client, result.id), 'made\n');
    disk.free();
    assert.equal((await run(service, script(large))).state, 'succeeded');
  });

  it('with inputs that do not fit: the run waits for space', async () => {
    await using bench = await createBench();
    const { disk, service } = bench;
    const { digest } = await service.client.uploadBlob(bytes(8 * mib));
    disk.fill(4 * mib);
    const source = 'import os\nprint(os.path.getsize("/data/large"))';
    const { id } = await service.client.submitRun(script(source, { inputs: [{ path: 'large', digest }] }));
    await until('the run was tried', () => service.log.includes('the input files cannot be written'));
    assert.equal((await service.client.getRun(id)).startedAt, null);
    disk.free();
    assert.equal((await ended(service.client, id)).state, 'succeeded');
    assert.equal(await readOutput(service.client, id), `${8 * mib}\n`);
  });

  it('while the control plane is killed: it comes back when there is space, with every run in a true state', async () => {
    await using bench = await createBench();
    const { disk, service } = bench;
    const { client } = service;
    const running = await client.submitRun(
      script('import time\nprint("begin", flush=True)\ntime.sleep(600)'),
    );
    await begun(service, running.id);
    const submitted = Array.from({ length: 5 }, () => client.submitRun(script('print("queued")')));
    const queued = await Promise.all(submitted);
    disk.fill();
    await service.kill('control-plane');
    await until('it cannot start', () => service.log.split('the control plane ended').length > 2);
    disk.free();
    await service.answers();
    assert.equal((await ended(client, running.id)).state, 'lost');
    assert.equal(await readOutput(client, running.id), 'begin\n');
    for (const { id } of queued) {
      const { state } = await ended(client, id);
      assert.ok(state === 'succeeded' || state === 'lost', state);
    }
    await assertWorks(service);
  });
});
