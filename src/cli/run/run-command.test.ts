import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { describe, test } from 'node:test';
import type { CliCall, CliResult } from '../../../tests/support/cli.ts';
import { callCli, openStarterOf, startCli } from '../../../tests/support/cli.ts';
import { pythonImage } from '../../../tests/support/http-doubles.ts';
import { createHttpStage } from '../../../tests/support/http-stage.ts';
import * as scripted from '../../../tests/support/scripted-starter.ts';
import { createTemporaryDirectory } from '../../../tests/support/temporary-directory.ts';
import { digestOf } from '../../base/digest.ts';
import { SlipwayError } from '../../base/errors.ts';
import type { ExecutionFeed, ExecutionOrder } from '../../starter/starter.ts';

const hostileBytes = Buffer.from([0x1b, 0x5d, 0xff, 0x00, 0x0a]);

/** Runs `slipway` as root over a scripted starter. */
function callWith(script: scripted.Script, argv: readonly string[], call: CliCall = {}): Promise<CliResult> {
  return callCli(argv, asRoot(script, call));
}

function asRoot(script: scripted.Script, call: CliCall = {}): CliCall {
  const starter = new scripted.ScriptedStarter(script);
  starter.resolveImage = async (reference) => {
    if (reference === 'python') return pythonImage;
    throw new SlipwayError('not-found', 'image-not-found', `There is no image ${reference}.`);
  };
  const openStarter = async () => openStarterOf(starter);
  return { isRoot: true, parts: { openStarter }, ...call };
}

interface Received {
  order: ExecutionOrder;
  readonly files: Record<string, string>;
  stdin: string;
}

async function receive(order: ExecutionOrder, feed: ExecutionFeed): Promise<Received> {
  const files: Record<string, string> = {};
  for (const source of [feed.code, feed.inputs]) {
    for await (const file of source) files[file.path] = await text(file.content);
  }
  return { order, files, stdin: order.stdin ? await text(feed.stdin) : '' };
}

async function text(content: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of content) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

function scriptIn(directory: string, name = 'main.py'): string {
  const file = path.join(directory, name);
  writeFileSync(file, 'print(1)');
  return file;
}

describe('slipway run, in this process', () => {
  test('hands over the script with everything that was asked for', async () => {
    using directory = createTemporaryDirectory();
    const script = scriptIn(directory.path);
    const data = path.join(directory.path, 'data');
    mkdirSync(path.join(data, 'sub'), { recursive: true });
    writeFileSync(path.join(data, 'sub', 'x.csv'), 'a,b');
    symlinkSync('/etc/passwd', path.join(data, 'link'));
    let received: Received | undefined;
    const result = await callWith(
      async function* ({ order, feed, permission }) {
        received = await receive(order, feed);
        yield scripted.prepared;
        await permission;
        yield scripted.exited();
      },
      [
        'run',
        script,
        '--data',
        data,
        '--env',
        'A=b=c',
        '--context',
        '{"k":[1]}',
        '--timeout',
        '2s',
        '--memory',
        '64mib',
        '--limit',
        'pids=7',
        '--egress',
        'Example.org:443',
        '--egress',
        '[::1]:80',
        '--separate',
        '--',
        '--year',
        '2024',
      ],
      { stdin: 'typed' },
    );
    assert.equal(result.exitCode, 0, result.stderr);
    assert.deepEqual(received?.files, { 'main.py': 'print(1)', 'sub/x.csv': 'a,b' });
    assert.equal(received.stdin, 'typed');
    assert.equal(received.order.image, pythonImage.digest);
    const { wallTimeMs, memoryBytes, pids, cpus } = received.order.limits;
    assert.deepEqual([wallTimeMs, memoryBytes, pids, cpus], [2000, 64 * 1024 ** 2, 7, 1]);
    assert.deepEqual(received.order.egress, [
      { host: 'example.org', port: 443 },
      { host: '::1', port: 80 },
    ]);
    assert.deepEqual(received.order.program, {
      kind: 'script',
      entry: 'main.py',
      files: [{ path: 'main.py', digest: digestOf('print(1)'), sizeBytes: 8 }],
      args: ['--year', '2024'],
      env: { A: 'b=c' },
      context: { k: [1] },
      streams: 'separate',
    });
    assert.deepEqual(received.order.outputs, []);
    assert.match(result.stderr, /left out link: links are not followed/);
  });

  test('passes output on exactly, writes result files, and ends with the status of the script', async () => {
    using directory = createTemporaryDirectory();
    const out = path.join(directory.path, 'out');
    const events = () =>
      scripted.wellBehaved(
        scripted.output(hostileBytes),
        scripted.output('oops', 'stderr'),
        scripted.exited({ kind: 'failed', exitCode: 7 }),
        scripted.file('a/chart.png', 'png'),
        { type: 'skipped', path: 'evil\x1b[2J', reason: 'a link' },
      );
    const argv = ['run', scriptIn(directory.path), '--out', out];
    const result = await callWith(events, argv);
    assert.equal(result.exitCode, 7);
    assert.deepEqual(result.stdout, hostileBytes);
    assert.match(result.stderr, /^oops/);
    assert.match(result.stderr, /failed with exit status 7 in 10 ms, 5 ms CPU, 1 kB \(run_/);
    assert.match(result.stderr, /1 file in .*out: a\/chart\.png/);
    assert.match(result.stderr, /not kept: evil\\x1b\[2J: a link/);
    assert.equal(readFileSync(path.join(out, 'a', 'chart.png'), 'utf8'), 'png');
    const again = await callWith(events, argv);
    assert.equal(again.exitCode, 2);
    assert.match(again.stderr, /is not empty.*--force/);
    assert.equal((await callWith(events, [...argv, '--force'])).exitCode, 7);
  });

  test('filters output on a terminal, unless that is asked for', async () => {
    using directory = createTemporaryDirectory();
    const argv = ['run', scriptIn(directory.path)];
    const events = () => scripted.wellBehaved(scripted.output('\x1b[31mred\x1b[0m\x1b]0;evil\x07'));
    const safe = await callWith(events, argv, { isTerminal: true });
    assert.equal(String(safe.stdout), '\x1b[31mred\x1b[0m\\x1b]0;evil\\x07');
    const raw = await callWith(events, [...argv, '--raw'], { isTerminal: true });
    assert.equal(String(raw.stdout), '\x1b[31mred\x1b[0m\x1b]0;evil\x07');
    assert.match(safe.stderr, /\x1b\[32msucceeded/);
    const plain = await callWith(events, argv, { isTerminal: true, env: { NO_COLOR: '1' } });
    assert.match(plain.stderr, /^succeeded/m);
  });

  test('--json prints one document with everything, and nothing else on stdout', async () => {
    using directory = createTemporaryDirectory();
    const events = () => scripted.wellBehaved(scripted.output('out'), scripted.output('err', 'stderr'));
    const result = await callWith(events, ['run', scriptIn(directory.path), '--json']);
    const document = JSON.parse(String(result.stdout));
    assert.deepEqual(document.output, {
      stdout: 'out',
      stderr: 'err',
      stdoutBytes: 3,
      stderrBytes: 3,
      truncated: false,
    });
    assert.deepEqual(document.outcome, { kind: 'succeeded' });
    assert.equal(document.exitCode, 0);
    assert.equal(document.image.name, 'python');
  });

  test('the first Ctrl-C asks the program to end, the second ends everything', async () => {
    using directory = createTemporaryDirectory();
    const argv = ['run', scriptIn(directory.path)];
    const polite = startCli(argv, asRoot(startedUntil(scripted.untilCancelled)));
    await until(() => polite.output() === 'started');
    polite.signal('SIGINT');
    assert.equal((await polite.result).exitCode, 130);
    assert.match(polite.errors(), /press Ctrl-C again.*\n.*cancelled \(interrupted\)/);
    const stubborn = startCli(
      argv,
      asRoot(
        startedUntil(async function* (execution) {
          yield await scripted.forever(execution);
        }),
      ),
    );
    await until(() => stubborn.output() === 'started');
    stubborn.signal('SIGINT');
    stubborn.signal('SIGINT');
    assert.equal((await stubborn.result).exitCode, 130);
  });

  test('Ctrl-C before the sandbox is there cancels it, too', async () => {
    using directory = createTemporaryDirectory();
    const starter = new scripted.ScriptedStarter(scripted.untilCancelled);
    const resolving = Promise.withResolvers<typeof pythonImage>();
    let asked = false;
    starter.resolveImage = () => {
      asked = true;
      return resolving.promise;
    };
    const openStarter = async () => openStarterOf(starter);
    const running = startCli(['run', scriptIn(directory.path)], { isRoot: true, parts: { openStarter } });
    await until(() => asked);
    running.signal('SIGTERM');
    resolving.resolve(pythonImage);
    assert.equal((await running.result).exitCode, 130);
  });

  test('a failure of the platform is status 125, wrong use and refusals 2, each with what to do', async () => {
    using directory = createTemporaryDirectory();
    const script = scriptIn(directory.path);
    const gone = await callWith(
      async function* () {
        yield await Promise.reject(scripted.starterGone());
      },
      ['run', script],
    );
    assert.equal(gone.exitCode, 125);
    assert.match(gone.stderr, /The starter cannot be reached/);
    const wrong: readonly (readonly [readonly string[], RegExp])[] = [
      [['run'], /no script to run/],
      [['run', path.join(directory.path, 'none.py')], /none\.py.* is not a file/],
      [['run', script, '--data', script], /--data: there is no folder/],
      [['run', script, '--output', '*.png'], /--output needs --out/],
      [['run', script, '--context', 'nonsense'], /neither JSON nor a file/],
      [['run', script, '--limit', 'memroy=1'], /Do you mean memory/],
      [['run', script, '--egress', '127.1:80'], /neither the name of a host nor an IP address/],
      [['run', script, '--env', 'A'], /NAME=VALUE/],
      [['run', '-', '--stdin', '-'], /is the script already/],
      [['run', '--command', '--code', directory.path, '--', 'ls'], /belongs to scripts/],
      [['run', 'other.py', '--code', directory.path], /is not in the folder/],
    ];
    for (const [argv, message] of wrong) {
      const result = await callWith(() => scripted.wellBehaved(), argv);
      assert.match(result.stderr, message);
      assert.equal(result.exitCode, 2, argv.join(' '));
    }
    for (const refused of [
      ['--image', 'nope'],
      ['--memory', '100tb'],
      ['--memory', '900gb'],
    ]) {
      const result = await callWith(() => scripted.wellBehaved(), ['run', script, ...refused]);
      assert.equal(result.exitCode, 2, `${refused}: ${result.stderr}`);
    }
  });

  test('shows progress on stderr, below the output, and removes it', async () => {
    using directory = createTemporaryDirectory();
    const data = path.join(directory.path, 'data');
    mkdirSync(data);
    writeFileSync(path.join(data, 'x\x1b[2J'), 'a,b');
    const shown = Promise.withResolvers<void>();
    const running = startCli(
      ['run', scriptIn(directory.path), '--data', data, '--out', path.join(directory.path, 'out')],
      {
        ...asRoot(async function* ({ feed, permission }) {
          for await (const file of feed.code) await text(file.content);
          for await (const file of feed.inputs) {
            await text(file.content);
            await shown.promise;
          }
          yield scripted.prepared;
          await permission;
          yield scripted.output('no line end');
          yield scripted.exited();
          yield scripted.file('a.txt', 'x');
        }),
        isTerminal: true,
      },
    );
    await until(() => running.errors().includes('3 B of 3 B'));
    assert.match(running.errors(), /\r\x1b\[Ksending data .* 100% {2}3 B of 3 B .* x\\x1b\[2J/);
    shown.resolve();
    const { stderr, exitCode } = await running.result;
    assert.equal(exitCode, 0, stderr);
    assert.match(stderr, /\r\x1b\[K\n\x1b\[32msucceeded/);
  });

  test('says nothing of progress where it is quick and nobody looks', async () => {
    using directory = createTemporaryDirectory();
    const data = path.join(directory.path, 'data');
    mkdirSync(data);
    writeFileSync(path.join(data, 'x.csv'), 'a,b');
    const consume: scripted.Script = async function* ({ order, feed, permission }) {
      await receive(order, feed);
      yield scripted.prepared;
      await permission;
      yield scripted.exited();
    };
    const argv = ['run', scriptIn(directory.path), '--data', data];
    assert.match((await callWith(consume, argv)).stderr, /^succeeded in [^\n]*\n$/);
  });

  test('takes the script from standard input, a folder of code, or a command', async () => {
    using directory = createTemporaryDirectory();
    const orders: ExecutionOrder[] = [];
    const note: scripted.Script = ({ order }) => {
      orders.push(order);
      return scripted.wellBehaved();
    };
    scriptIn(directory.path);
    scriptIn(directory.path, 'lib.py');
    await callWith(note, ['run', '-', '--', 'x'], { stdin: 'print(2)' });
    await callWith(note, ['run', 'main.py', '--code', directory.path]);
    await callWith(note, ['run', '--command', '--', 'ls', '-l']);
    const [source, folder, command] = orders.map((order) => order.program);
    assert.ok(source?.kind === 'script' && folder?.kind === 'script');
    assert.deepEqual(
      [source.entry, source.args, source.files[0]?.digest],
      ['script.py', ['x'], digestOf('print(2)')],
    );
    assert.equal(orders[0]?.stdin, false);
    assert.deepEqual(
      [folder.entry, folder.files.map((file) => file.path)],
      ['main.py', ['lib.py', 'main.py']],
    );
    assert.deepEqual(command, { kind: 'command', argv: ['ls', '-l'], env: {}, streams: 'merged' });
  });
});

describe('slipway run, on a server', () => {
  test('uploads, follows, fetches, and ends with the status of the script', async (t) => {
    using directory = createTemporaryDirectory();
    const stage = await createHttpStage();
    t.after(() => stage.app.close());
    const url = await stage.app.listen({ host: '127.0.0.1', port: 0 });
    const out = path.join(directory.path, 'out');
    const argv = ['run', scriptIn(directory.path), '--server', url, '--out', out, '--', 'x'];
    const running = startCli(argv, { env: { SLIPWAY_TOKEN: stage.annToken }, stdin: 'typed' });
    await until(() => stage.runs.runs.size === 1);
    const [run] = stage.runs.runs.values();
    assert.ok(run?.order.program.kind === 'script');
    assert.equal(run.order.program.files[0]?.digest, digestOf('print(1)'));
    assert.deepEqual(run.order.program.args, ['x']);
    assert.equal(run.order.stdin, digestOf('typed'));
    stage.runs.write(run.id, { kind: 'output', stream: 'stdout', bytes: hostileBytes });
    stage.runs.write(run.id, { kind: 'cut', dropped: { stdout: 1500, stderr: 0 } });
    stage.blobs.contents.set(digestOf('png'), Buffer.from('png'));
    const files = [{ path: 'chart.png', digest: digestOf('png'), sizeBytes: 3 }];
    stage.runs.finish(run.id, { outcome: { kind: 'oom-killed', limitBytes: 64_000_000 }, files });
    const result = await running.result;
    assert.equal(result.exitCode, 137);
    assert.deepEqual(result.stdout, hostileBytes);
    assert.match(result.stderr, /1\.5 kB of output were not kept/);
    assert.match(result.stderr, /killed at its memory limit of 64 MB/);
    assert.equal(readFileSync(path.join(out, 'chart.png'), 'utf8'), 'png');
  });

  test('Ctrl-C cancels there', async (t) => {
    using directory = createTemporaryDirectory();
    const stage = await createHttpStage();
    t.after(() => stage.app.close());
    const url = await stage.app.listen({ host: '127.0.0.1', port: 0 });
    const env = { SLIPWAY_TOKEN: stage.annToken, SLIPWAY_URL: url };
    const running = startCli(['run', scriptIn(directory.path)], { env });
    await stage.runs.waiters(1);
    running.signal('SIGINT');
    assert.equal((await running.result).exitCode, 130);
    assert.deepEqual([...stage.runs.runs.values()][0]?.status.state, 'cancelled');
  });

  test('says that it waits for standard input, once, and goes on when it ends', async (t) => {
    using directory = createTemporaryDirectory();
    const stage = await createHttpStage();
    t.after(() => stage.app.close());
    const url = await stage.app.listen({ host: '127.0.0.1', port: 0 });
    const env = { SLIPWAY_TOKEN: stage.annToken, SLIPWAY_URL: url };
    const stdin = new PassThrough();
    const running = startCli(['run', scriptIn(directory.path)], { env, stdin });
    stdin.write('typed');
    await until(() => running.errors() !== '');
    assert.match(running.errors(), /^slipway: waiting for standard input to end.*--stdin none\.\n$/);
    assert.equal(stage.runs.runs.size, 0);
    stdin.end();
    await until(() => stage.runs.runs.size === 1);
    const [run] = stage.runs.runs.values();
    assert.equal(run?.order.stdin, digestOf('typed'));
    stage.runs.finish(run.id, { outcome: { kind: 'succeeded' } });
    const { stderr } = await running.result;
    assert.equal(stderr.match(/waiting for standard input/g)?.length, 1);
  });

  test('a refusal of the server is status 2, its failure 125', async (t) => {
    using directory = createTemporaryDirectory();
    const stage = await createHttpStage();
    t.after(() => stage.app.close());
    const url = await stage.app.listen({ host: '127.0.0.1', port: 0 });
    const env = { SLIPWAY_TOKEN: stage.annToken, SLIPWAY_URL: url };
    const argv = ['run', scriptIn(directory.path)];
    for (const refused of [
      ['--image', 'nope'],
      ['--image', 'bare'],
      ['--memory', '900gb'],
    ]) {
      assert.equal((await callCli([...argv, ...refused], { env })).exitCode, 2, refused.join(' '));
    }
    assert.equal((await callCli(argv, { env: { SLIPWAY_URL: url } })).exitCode, 2);
    stage.runs.submit = async () => Promise.reject(new Error('broken'));
    assert.equal((await callCli(argv, { env })).exitCode, 125);
  });

  test('says that the server is not there, and how to start one', async () => {
    using directory = createTemporaryDirectory();
    const server = `unix:${directory.path}/none.sock`;
    const result = await callCli(['run', scriptIn(directory.path), '--server', server]);
    assert.equal(result.exitCode, 125);
    assert.match(result.stderr, /none\.sock cannot be reached .*slipway up/);
  });
});

/** A program that says "started" before it goes on as scripted. */
function startedUntil(rest: scripted.Script): scripted.Script {
  return async function* (execution) {
    yield scripted.prepared;
    await execution.permission;
    yield scripted.output('started');
    for await (const event of rest(execution)) if (event.type !== 'prepared') yield event;
  };
}

async function until(isTrue: () => boolean): Promise<void> {
  const deadline = AbortSignal.timeout(30_000);
  while (!isTrue()) {
    deadline.throwIfAborted();
    await new Promise((resolve) => setImmediate(resolve));
  }
}
