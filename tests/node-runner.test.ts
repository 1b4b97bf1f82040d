/** The Node runner as a starter sees it: a real process with one end of a socketpair as its descriptor 3. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { describe, test } from 'node:test';
import { readFrames } from '../src/base/frames.ts';
import { parseRunnerMessage, type RunnerMessage } from '../src/model/runner-protocol.ts';
import { createTemporaryDirectory } from './support/temporary-directory.ts';

const runnerDirectory = join(import.meta.dirname, '..', 'node', 'slipway-runner');
const conformance = (name: string) =>
  JSON.parse(readFileSync(join(import.meta.dirname, '..', 'conformance', name), 'utf8'));
const frames = await import(`${runnerDirectory}/frames.mjs`);
const protocol = await import(`${runnerDirectory}/protocol.mjs`);

interface Vector {
  readonly name: string;
  readonly hex: string;
  readonly kind: 'json' | 'bytes';
  readonly value: unknown;
  readonly bytesHex: string;
  readonly canonical: boolean;
  readonly reason: string;
  readonly message: Record<string, unknown>;
}

/** Every frame in some bytes, read from a file as from a channel. */
function readAll(bytes: Buffer): { kind: number; value: unknown }[] {
  using directory = createTemporaryDirectory();
  const path = join(directory.path, 'frames');
  writeFileSync(path, bytes);
  const descriptor = openSync(path, 'r');
  // A file is read at its position, like a stream.
  try {
    const found = [];
    for (
      let frame = frames.readFrame(descriptor);
      frame !== undefined;
      frame = frames.readFrame(descriptor)
    ) {
      const isJson = frame.kind === frames.jsonKind;
      found.push({ kind: frame.kind, value: isJson ? frames.decodeObject(frame.payload) : frame.payload });
    }
    return found;
  } finally {
    closeSync(descriptor);
  }
}

describe('the vectors of conformance/', () => {
  const { good, bad, maxPayloadBytes } = conformance('frames.json');

  test('frames: good ones are read, canonical ones written, bad ones refused for their reason', () => {
    assert.equal(frames.maxFrameBytes, maxPayloadBytes);
    for (const vector of good as Vector[]) {
      const isJson = vector.kind === 'json';
      const value = isJson ? vector.value : Buffer.from(vector.bytesHex, 'hex');
      assert.deepEqual(
        readAll(Buffer.from(vector.hex, 'hex')),
        [{ kind: isJson ? 1 : 2, value }],
        vector.name,
      );
      if (!vector.canonical) continue;
      const payload = isJson ? Buffer.from(frames.encodeJson(vector.value)) : value;
      assert.equal(frames.encodeFrame(isJson ? 1 : 2, payload).toString('hex'), vector.hex, vector.name);
    }
    for (const vector of bad as Vector[]) {
      const read = () => readAll(Buffer.from(vector.hex, 'hex'));
      assert.throws(read, { reason: vector.reason }, vector.name);
    }
  });

  test('messages: the request is parsed strictly, and what the runner says is understood', () => {
    const { starterToRunnerValid, starterToRunnerInvalid } = conformance('runner-protocol.json');
    for (const { name, message } of starterToRunnerValid as Vector[]) {
      const request = protocol.parseRequest(message);
      assert.deepEqual(
        [request.entry, request.args, request.env],
        [message['entry'], message['args'], message['env']],
        name,
      );
    }
    for (const { name, message } of starterToRunnerInvalid as Vector[]) {
      assert.throws(() => protocol.parseRequest(message), protocol.RequestError, name);
    }
    for (const message of [
      protocol.readyMessage([]),
      protocol.readyMessage(['pandas']),
      protocol.startedMessage(),
      protocol.exitMessage(0, undefined),
      protocol.exitMessage(137, 'SIGKILL'),
      protocol.refusedMessage('x'.repeat(2000)),
    ]) {
      assert.doesNotThrow(() => parseRunnerMessage(message));
    }
  });
});

interface Stage extends Disposable {
  readonly root: string;
  readonly code: string;
  readonly work: string;
}

function createStage(): Stage {
  const directory = createTemporaryDirectory();
  const at = (name: string) => join(directory.path, name);
  for (const name of ['code', 'work', 'data']) mkdirSync(at(name));
  return {
    root: directory.path,
    code: at('code'),
    work: at('work'),
    [Symbol.dispose]: () => directory[Symbol.dispose](),
  };
}

interface Runner {
  readonly child: ChildProcess;
  readonly channel: Duplex;
  readonly messages: AsyncGenerator<RunnerMessage>;
}

function startRunner(stage: Stage, env: Record<string, string> = {}): Runner {
  const places = ['--code', stage.code, '--work', stage.work, '--data', join(stage.root, 'data')];
  const child = spawn(process.execPath, [join(runnerDirectory, 'main.mjs'), ...places], {
    env,
    stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
  });
  const channel = child.stdio[3] as Duplex; // libuv makes a socketpair of it
  channel.on('error', () => undefined);
  return { child, channel, messages: messagesOf(channel) };
}

async function* messagesOf(channel: Duplex): AsyncGenerator<RunnerMessage> {
  for await (const frame of readFrames(channel)) {
    if (frame.kind === 'json') yield parseRunnerMessage(frame.value);
  }
}

interface Finished {
  readonly messages: RunnerMessage[];
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const environment = { PATH: '/usr/local/bin:/usr/bin:/bin', LANG: 'C.UTF-8' };

function requestFor(files: Readonly<Record<string, string>>, changes: object = {}): object {
  const described = Object.entries(files).map(([path, content]) => ({
    path,
    size: Buffer.byteLength(content),
    sha256: createHash('sha256').update(content).digest('hex'),
  }));
  const entry = described[0]?.path ?? '';
  const given = { entry, files: described, args: [], env: environment, context: null, streams: 'separate' };
  return { type: 'run', kind: 'script', ...given, ...changes };
}

function sendRequest(
  { channel }: Runner,
  files: Readonly<Record<string, string>>,
  changes: object = {},
): void {
  channel.write(frames.encodeFrame(1, Buffer.from(JSON.stringify(requestFor(files, changes)))));
  for (const content of Object.values(files)) {
    const bytes = Buffer.from(content);
    for (let at = 0; at < bytes.length; at += 65_536)
      channel.write(frames.encodeFrame(2, bytes.subarray(at, at + 65_536)));
  }
}

async function finish({ child, messages }: Runner, stdin = ''): Promise<Finished> {
  const texts = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.setEncoding('utf8').on('data', (chunk: string) => {
      texts[name] += chunk;
    });
  }
  child.stdin?.on('error', () => undefined).end(stdin);
  const closed = once(child, 'close');
  const said: RunnerMessage[] = [];
  for await (const message of messages) said.push(message);
  const [status] = await closed;
  return { messages: said, status, ...texts };
}

async function runScript(
  source: string,
  changes: object = {},
  more: Record<string, string> = {},
): Promise<Finished> {
  using stage = createStage();
  const runner = startRunner(stage);
  await runner.messages.next();
  sendRequest(runner, { 'script.mjs': source, ...more }, changes);
  return await finish(runner);
}

const exit = (finished: Finished) => finished.messages.at(-1);

describe('the Node runner', () => {
  test('says ready, then runs what it gets: arguments, environment, context, input, files', async () => {
    using stage = createStage();
    const runner = startRunner(stage, { SLIPWAY_PRELOAD: 'left-pad, ' });
    const { value: ready } = await runner.messages.next();
    assert.deepEqual(ready, {
      type: 'ready',
      protocol: 1,
      runner: 'slipway-node',
      version: '0.1.0',
      language: 'javascript',
      languageVersion: process.versions.node,
      preloaded: [],
      preloadFailed: ['left-pad'],
    });
    const script = `
import { readFileSync, writeFileSync, readdirSync } from 'node:fs';
import { greeting } from './lib/greeting.mjs';
const { env } = process;
console.log(JSON.stringify({ argv: process.argv.slice(1), names: Object.keys(env).sort(), key: env.KEY, cwd: process.cwd() }));
console.log(readFileSync(env.SLIPWAY_CONTEXT, 'utf8'), greeting, readFileSync(0, 'utf8'));
// Descriptors that lead to sockets of the runner; Node's own and the streams are none.
import { readlinkSync } from 'node:fs';
const own = readdirSync('/proc/self/fd').flatMap((fd) => { try { return [[fd, readlinkSync('/proc/self/fd/' + fd)]]; } catch { return []; } });
console.log(own.filter(([fd, target]) => Number(fd) > 2 && target.startsWith('socket:')).length, own.some(([fd]) => fd === '0'));
console.log(readFileSync('/proc/self/oom_score_adj', 'utf8').trim());
writeFileSync('out.txt', 'made');
`;
    const files = {
      'script.mjs': script,
      'lib/greeting.mjs': "export const greeting = 'hällo';\n",
      empty: '',
    };
    sendRequest(runner, files, { args: ['--x', 'ä b'], env: { KEY: 'a=b' }, context: { n: [1, null, 'ü'] } });
    const result = await finish(runner, 'typed');
    const [first = '', ...rest] = result.stdout.split('\n');
    assert.deepEqual(JSON.parse(first), {
      argv: [join(stage.code, 'script.mjs'), '--x', 'ä b'],
      names: ['KEY', 'SLIPWAY_CONTEXT', 'SLIPWAY_DATA', 'SLIPWAY_WORK'],
      key: 'a=b',
      cwd: stage.work,
    });
    assert.deepEqual(rest, ['{"n":[1,null,"ü"]} hällo typed', '0 true', '1000', ''], result.stderr);
    assert.deepEqual(result.messages, [{ type: 'started' }, { type: 'exit', code: 0 }]);
    assert.equal(result.status, 0);
    assert.equal(readFileSync(join(stage.work, 'out.txt'), 'utf8'), 'made');
  });

  test('runs ES modules, CommonJS and TypeScript, by name and by syntax', async () => {
    const sources = {
      'a.mjs': "import 'node:fs'; console.log('ran');",
      'a.cjs': "require('node:fs'); console.log('ran');",
      'a.js': "import 'node:fs'; console.log('ran');",
      'b.js': "require('node:fs'); console.log('ran', typeof module === 'object');",
      'a.ts': "const word: string = 'ran'; console.log(word);",
    };
    for (const [name, source] of Object.entries(sources)) {
      using stage = createStage();
      const runner = startRunner(stage);
      await runner.messages.next();
      sendRequest(runner, { [name]: source });
      const result = await finish(runner);
      assert.match(result.stdout, /^ran/, `${name}: ${result.stderr}`);
    }
  });

  test('gives merged output in the order of the writes, and separate streams apart', async () => {
    const source = `
for (let i = 0; i < 500; i += 1) (i % 2 ? console.error : console.log)(i);
process.stdout.write('x'.repeat(300000)); process.stderr.write('y'); process.stdout.write('z');
console.log(process.execArgv.length);
process.exit();
`;
    const merged = await runScript(source, { streams: 'merged' });
    const lines = Array.from({ length: 500 }, (_, i) => `${i}\n`).join('');
    assert.ok(merged.stdout === `${lines}${'x'.repeat(300_000)}yz0\n`, merged.stdout.slice(0, 100));
    assert.equal(merged.stderr, '');
    const separate = await runScript(source);
    assert.equal(separate.stdout.length, 945 + 300_003);
    assert.match(separate.stderr, /^1\n3\n5\n[\d\n]*499\ny$/);
  });

  test('tells how the script ended: status, exception, signal', async () => {
    const cases: [string, object, number][] = [
      ['process.exit(41)', { type: 'exit', code: 41 }, 41],
      ['process.exitCode = 255', { type: 'exit', code: 255 }, 255],
      ["throw new Error('thrown')", { type: 'exit', code: 1 }, 1],
      ["await Promise.reject(new Error('thrown'))", { type: 'exit', code: 1 }, 1],
      ["process.kill(process.pid, 'SIGKILL')", { type: 'exit', signal: 'SIGKILL' }, 137],
      ['process.abort()', { type: 'exit', signal: 'SIGABRT' }, 134],
    ];
    for (const [source, message, status] of cases) {
      const result = await runScript(source);
      assert.deepEqual(exit(result), message, source);
      assert.equal(result.status, status, source);
      if (source.includes('thrown')) assert.match(result.stderr, /Error: thrown\n {4}at .*script\.mjs:1/);
    }
  });

  test('forwards signals to the script and everything that it started', async () => {
    using stage = createStage();
    const runner = startRunner(stage);
    await runner.messages.next();
    const script = `
import { spawn } from 'node:child_process';
const child = spawn('sleep', ['1000']);
child.on('exit', (code, signal) => { console.log('child', signal); process.exit(7); });
process.on('SIGTERM', () => console.log('asked to end'));
child.on('spawn', () => console.log('ready'));
`;
    sendRequest(runner, { 'script.mjs': script });
    const finished = finish(runner);
    await once(runner.child.stdout ?? assert.fail(), 'data');
    runner.child.kill('SIGTERM');
    const result = await finished;
    assert.deepEqual(result.stdout.split('\n').sort(), ['', 'asked to end', 'child SIGTERM', 'ready']);
    assert.equal(result.status, 7);
  });

  test('ends the streams when the script closes them, and itself when the script ends', async () => {
    const result = await runScript(`
import { spawn } from 'node:child_process';
spawn('sleep', ['1000'], { detached: true, stdio: 'ignore' }).unref();
console.log('done');
`);
    assert.deepEqual([result.stdout, result.status], ['done\n', 0]);
  });

  test('refuses what is wrong with the request, and says why', async () => {
    const script = { 'script.mjs': '' };
    const cases: [RegExp, (runner: Runner, stage: Stage) => void][] = [
      [/not JSON/, ({ channel }) => channel.write(frames.encodeFrame(1, Buffer.from('{')))],
      [/not a control frame/, ({ channel }) => channel.write(frames.encodeFrame(2, Buffer.from('x')))],
      [/over the limit/, ({ channel }) => channel.write(Buffer.from([255, 0, 0, 0, 1]))],
      [/kind is not one of/, (runner) => sendRequest(runner, script, { kind: 'function' })],
      [
        /sha256 that the request names/,
        (runner) => {
          runner.channel.write(
            frames.encodeFrame(1, Buffer.from(JSON.stringify(requestFor({ 'a.mjs': 'good' })))),
          );
          runner.channel.write(frames.encodeFrame(2, Buffer.from('evil')));
        },
      ],
      [
        /More than 4 bytes/,
        (runner) => {
          runner.channel.write(
            frames.encodeFrame(1, Buffer.from(JSON.stringify(requestFor({ 'a.mjs': 'good' })))),
          );
          runner.channel.write(frames.encodeFrame(2, Buffer.from('goodness')));
        },
      ],
      [
        /closed before all content/,
        (runner) => {
          runner.channel.end(
            frames.encodeFrame(1, Buffer.from(JSON.stringify(requestFor({ 'a.mjs': 'good' })))),
          );
        },
      ],
      [
        /"script\.mjs" cannot be created: EEXIST/,
        (runner, stage) => {
          symlinkSync('/etc/passwd', join(stage.code, 'script.mjs'));
          sendRequest(runner, script);
        },
      ],
      [/"a\/b\.mjs" cannot be created/, (runner) => sendRequest(runner, { a: 'x', 'a/b.mjs': '' })],
    ];
    for (const [reason, act] of cases) {
      using stage = createStage();
      const runner = startRunner(stage);
      await runner.messages.next();
      act(runner, stage);
      const result = await finish(runner);
      const [said] = result.messages;
      assert.ok(said?.type === 'refused', `${reason}: ${JSON.stringify(result)}`);
      assert.match(said.reason, reason);
      assert.deepEqual([result.messages.length, result.status], [1, 125]);
    }
  });

  test('says nothing and ends with 0 when there is no request', async () => {
    using stage = createStage();
    const runner = startRunner(stage);
    await runner.messages.next();
    runner.channel.end();
    const result = await finish(runner);
    assert.deepEqual([result.messages, result.status, result.stderr], [[], 0, '']);
  });

  test('the library reads context and places', async () => {
    const library = join(import.meta.dirname, '..', 'node', 'slipway', 'index.js');
    const source = `
const { context, DATA, WORK } = await import(${JSON.stringify(library)});
console.log(JSON.stringify([context(), DATA === process.env.SLIPWAY_DATA, WORK === process.cwd()]));
`;
    const result = await runScript(source, { context: { a: 1 } });
    assert.equal(result.stdout, '[{"a":1},true,true]\n', result.stderr);
  });
});
