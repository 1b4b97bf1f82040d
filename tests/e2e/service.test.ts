/** The service as a user starts it, spoken to over HTTP. */
import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { SubmitRequestInput } from '../../src/api/submit-request.ts';
import { readBytes } from '../../src/base/bytes.ts';
import type { LogRecord } from '../../src/model/output-log.ts';
import { type ServiceProcess, startServiceProcess } from '../support/service.ts';
import { until } from '../support/until.ts';

describe('the service', () => {
  let service: ServiceProcess;

  before(async () => {
    service = await startServiceProcess({ settings: { SLIPWAY_CONCURRENCY: '2' } });
  });
  after(() => service[Symbol.asyncDispose]());

  async function run(request: SubmitRequestInput) {
    const { id } = await service.client.submitRun(request);
    return await service.client.waitRun(id);
  }

  const script = (source: string, more: Partial<SubmitRequestInput> = {}): SubmitRequestInput => ({
    script: { source },
    ...more,
  });

  async function logOf(id: string): Promise<Record<'stdout' | 'stderr', Buffer>> {
    const pieces = { stdout: [] as Uint8Array[], stderr: [] as Uint8Array[] };
    for await (const record of service.client.readLog(id)) {
      assert.equal(record.kind, 'output');
      if (record.kind === 'output') pieces[record.stream].push(record.bytes);
    }
    return { stdout: Buffer.concat(pieces.stdout), stderr: Buffer.concat(pieces.stderr) };
  }

  it('has no privileges where it faces the network', () => {
    const pid = service.controlPlanePid();
    assert.ok(pid);
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const field = (name: string) => new RegExp(`^${name}:[ \\t]*(.*)$`, 'm').exec(status)?.[1] ?? '';
    assert.notEqual(field('Uid').split('\t')[0], '0');
    assert.equal(new Set(field('Uid').split('\t')).size, 1, 'one uid, saved and file-system too');
    assert.equal(field('Groups').trim(), '');
    assert.equal(field('NoNewPrivs'), '1');
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) assert.match(field(set), /^0+$/);
    assert.match(readFileSync(`/proc/${service.starterPid}/status`, 'utf8'), /^Uid:\s*0\t/m);
  });

  it('keeps its state from other users', () => {
    const control = path.join(service.stateDir, 'control');
    assert.equal(statSync(control).mode & 0o777, 0o700);
    assert.equal(statSync(path.join(control, 'admin-token')).mode & 0o777, 0o600);
  });

  it('gives a script arguments, environment, context, stdin and inputs, and takes its output and files', async () => {
    const source = [
      'import sys, os, json, slipway',
      'print(sys.argv[1:], os.environ["GREETING"], slipway.context()["n"])',
      'print(sys.stdin.read(), open("/data/in/x.csv").read(), os.getcwd())',
      'os.mkdir("charts"); open("charts/a.txt", "w").write("chart")',
      'open("b.bin", "wb").write(bytes(range(256)))',
    ].join('\n');
    const uploaded = await service.client.uploadBlob(
      (async function* () {
        yield Buffer.from('1,2');
      })(),
    );
    const finished = await run(
      script(source, {
        args: ['--year', '20 24', '$(x)'],
        env: { GREETING: 'hälló' },
        context: { n: 42 },
        stdin: { text: 'typed' },
        inputs: [{ path: 'in/x.csv', digest: uploaded.digest }],
        labels: { team: 'a' },
      }),
    );
    assert.equal(finished.state, 'succeeded', JSON.stringify(finished));
    assert.equal(finished.output?.stdout, "['--year', '20 24', '$(x)'] hälló 42\ntyped 1,2 /work\n");
    assert.deepEqual(finished.files.map((file) => file.path).sort(), ['b.bin', 'charts/a.txt']);
    assert.deepEqual(finished.labels, { team: 'a' });
    const bytes = await readBytes(service.client.readFile(finished.id, 'b.bin'), 1000);
    assert.deepEqual([...bytes], [...Array(256).keys()]);
  });

  it('measures what a run used', async () => {
    const busy =
      'import time\nblock = bytearray(100_000_000)\nend = time.process_time() + 0.4\nwhile time.process_time() < end: pass';
    const { usage } = await run(script(busy));
    assert.ok(usage);
    assert.ok((usage.cpuMs ?? 0) >= 400, `cpu ${usage.cpuMs}`);
    assert.ok((usage.memoryPeakBytes ?? 0) >= 100_000_000, `memory ${usage.memoryPeakBytes}`);
    assert.ok(usage.wallMs >= 400, `wall ${usage.wallMs}`);
    assert.equal(usage.oomKills, 0);
  });

  it('keeps output byte-exact, merged in the order of the writes or separate', async () => {
    const source = [
      'import os',
      'for n in range(500):',
      '    os.write(1, b"\\xff%d\\n" % n)',
      '    os.write(2, b"\\x00%d\\n" % n)',
    ].join('\n');
    const numbers = [...Array(500).keys()];
    const merged = await logOf((await run(script(source))).id);
    assert.equal(merged.stdout.toString('latin1'), numbers.map((n) => `\xff${n}\n\0${n}\n`).join(''));
    assert.equal(merged.stderr.length, 0);
    const separate = await logOf((await run(script(source, { streams: 'separate' }))).id);
    assert.equal(separate.stdout.toString('latin1'), numbers.map((n) => `\xff${n}\n`).join(''));
    assert.equal(separate.stderr.toString('latin1'), numbers.map((n) => `\0${n}\n`).join(''));
  });

  const ends: readonly (readonly [string, SubmitRequestInput, object])[] = [
    ['its own exit status', script('import sys; sys.exit(3)'), { kind: 'failed', exitCode: 3 }],
    ['a traceback', script('raise ValueError("x")'), { kind: 'failed', exitCode: 1 }],
    [
      'a signal',
      script('import os, signal; os.kill(os.getpid(), signal.SIGSEGV)'),
      { kind: 'signaled', signal: 'SIGSEGV' },
    ],
    [
      'exit status 139, which is not a signal',
      script('import sys; sys.exit(139)'),
      { kind: 'failed', exitCode: 139 },
    ],
    [
      'the time limit',
      script('import time; time.sleep(60)', { limits: { wallTimeMs: 300 } }),
      { kind: 'timed-out', limitMs: 300 },
    ],
    [
      'the memory limit',
      script('x = bytearray(300_000_000)', { limits: { memoryBytes: 64 * 1024 * 1024 } }),
      { kind: 'oom-killed', limitBytes: 64 * 1024 * 1024 },
    ],
    [
      'the output limit',
      script('while True: print("x" * 1000)', { limits: { outputBytes: 100_000 } }),
      { kind: 'output-limit', limitBytes: 100_000 },
    ],
    ['a command of the image', { command: ['/bin/sh', '-c', 'exit 4'] }, { kind: 'failed', exitCode: 4 }],
  ];
  for (const [what, request, outcome] of ends) {
    it(`tells the outcome: ${what}`, async () => {
      assert.deepEqual((await run(request)).outcome, outcome);
    });
  }

  it('cuts output beyond what is kept, and says what is missing', async () => {
    const source = 'for n in range(100_000): print(f"{n:09d}")';
    const { id, output } = await run(script(source, { limits: { keptOutputBytes: 10_000 } }));
    const records: LogRecord[] = [];
    for await (const record of service.client.readLog(id)) records.push(record);
    const cuts = records.filter((record) => record.kind === 'cut');
    const kept = Buffer.concat(records.flatMap((record) => (record.kind === 'output' ? record.bytes : [])));
    assert.equal(cuts.length, 1);
    assert.equal((cuts[0]?.kind === 'cut' ? cuts[0].dropped.stdout : 0) + kept.length, 1_000_000);
    assert.ok(kept.length <= 10_000);
    assert.ok(kept.toString().startsWith('000000000\n') && kept.toString().endsWith('000099999\n'));
    assert.equal(output?.stdoutBytes, 1_000_000);
    assert.equal(output?.truncated, true);
  });

  it('follows output while the program runs', async () => {
    const source = 'import sys\nprint("first", flush=True)\nimport time\ntime.sleep(60)';
    const { id } = await service.client.submitRun(script(source));
    for await (const record of service.client.followLog(id)) {
      assert.equal(record.kind === 'output' && Buffer.from(record.bytes).toString(), 'first\n');
      break;
    }
    assert.equal((await service.client.getRun(id)).state, 'running');
    await service.client.cancelRun(id, 'seen enough');
    assert.deepEqual((await service.client.waitRun(id)).outcome, {
      kind: 'cancelled',
      reason: 'seen enough',
    });
  });

  it('cancels a queued run without starting it', async () => {
    const sleep = script('import time; time.sleep(60)');
    const running = await Promise.all([service.client.submitRun(sleep), service.client.submitRun(sleep)]);
    const stateOf = async (id: string) => (await service.client.getRun(id)).state;
    for (const { id } of running)
      await until('both slots are taken', async () => (await stateOf(id)) === 'running');
    const queued = await service.client.submitRun(sleep);
    assert.equal((await service.client.cancelRun(queued.id, 'not needed')).state, 'cancelled');
    assert.equal((await service.client.getRun(queued.id)).startedAt, null);
    for (const { id } of running) await service.client.cancelRun(id);
    for (const { id } of running) assert.equal((await service.client.waitRun(id)).state, 'cancelled');
  });

  it('gives a program nothing of other runs and of itself', async () => {
    const source = [
      'import os',
      'print(os.listdir("/work"), os.listdir("/data"), sorted(os.listdir("/dev")))',
      'print(os.getuid(), open("/proc/self/uid_map").read().split()[1] != "0")',
      'print(sorted(k for k in os.environ if "SLIPWAY" in k))',
    ].join('\n');
    const { output } = await run(script(source));
    assert.match(
      output?.stdout ?? '',
      /^\[\] \[\] \['fd', 'full', 'null', 'random', 'shm', 'stderr', 'stdin', 'stdout', 'urandom', 'zero'\]\n65532 True\n/,
    );
  });

  it('keeps runs and token over a restart', async () => {
    const { id } = await run(script('print("before")'));
    const { token } = service;
    assert.equal(await service.stop(), 0);
    await service.assertNothingLeft();
    await service.restart();
    assert.equal(service.token, token);
    assert.equal((await service.client.getRun(id)).output?.stdout, 'before\n');
    assert.equal((await run(script('print("after")'))).output?.stdout, 'after\n');
  });

  it('ends what runs when it is stopped, and says so', async () => {
    const { id } = await service.client.submitRun(
      script('import time; time.sleep(600)', { limits: { wallTimeMs: 600_000 } }),
    );
    await until('it runs', async () => (await service.client.getRun(id)).state === 'running');
    await service.stop();
    await service.assertNothingLeft();
    await service.restart();
    const run = await service.client.getRun(id);
    assert.equal(run.outcome?.kind, 'cancelled');
    assert.match(JSON.stringify(run.outcome), /stopping/);
  });

  it('says on /health and /ready that it works', async () => {
    assert.equal((await fetch(`${service.url}/health`)).status, 200);
    const readiness = await service.client.readiness();
    assert.equal(readiness.ready, true, JSON.stringify(readiness));
  });

  it('refuses who has no token', async () => {
    const reply = await fetch(`${service.url}/v1/runs`, { headers: { authorization: 'Bearer slw_nothing' } });
    assert.equal(reply.status, 401);
    assert.match(reply.headers.get('content-type') ?? '', /problem\+json/);
  });
});
