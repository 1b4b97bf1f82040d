import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer as createHttp2Server } from 'node:http2';
import { createConnection, createServer, type Socket } from 'node:net';
import { describe, it } from 'node:test';
import { digestOf } from '../../base/digest.ts';
import { isSlipwayError, SlipwayError } from '../../base/errors.ts';
import { encodeJsonFrame } from '../../base/frames.ts';
import { createId, randomText } from '../../base/ids.ts';
import { defaultLimits } from '../../model/limits.ts';
import type { Usage } from '../../model/usage.ts';
import type { InputFile } from '../../runtime/driver.ts';
import { Permission } from '../permission.ts';
import type { ExecutionEvent, ExecutionFeed, ExecutionOrder, Starter } from '../starter.ts';
import { createRemoteStarter } from './remote-starter.ts';
import { serveStarter } from './serve-starter.ts';

const never = new AbortController().signal;
const usage: Usage = {
  wallMs: 12,
  cpuMs: 3,
  cpuUserMs: null,
  cpuSystemMs: null,
  memoryPeakBytes: 4096,
  pidsPeak: 2,
  readBytes: 0,
  writtenBytes: 0,
  oomKills: 0,
};

type Script = (
  order: ExecutionOrder,
  feed: ExecutionFeed,
  permission: Permission,
  signal: AbortSignal,
) => AsyncIterable<ExecutionEvent>;

/** A Starter whose executions do what the test says. */
function scripted(script: Script): Starter {
  return {
    probe: async () => ({
      driver: 'oci',
      usable: true,
      problems: [],
      runtime: null,
      controls: [],
      measures: [],
    }),
    listImages: async () => [],
    resolveImage: async (reference) => {
      throw new SlipwayError('not-found', 'image-not-found', `no ${reference}`, { details: { reference } });
    },
    execute: (order, feed, signal) => {
      const permission = new Permission();
      return {
        events: script(order, feed, permission, signal),
        go: () => permission.go(),
        cancel: (reason, graceMs) => permission.cancel(reason, graceMs),
      };
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
}

async function connected(script: Script) {
  const announced: string[] = [];
  const server = serveStarter({ starter: scripted(script), onAnnounced: (url) => announced.push(url) });
  const near = await socketPair((far) => server.accept(far));
  return { remote: createRemoteStarter(near), near, announced };
}

/** One end of a connection; the other is given to `accept`. */
async function socketPair(accept: (far: Socket) => void): Promise<Socket> {
  const listener = createServer(accept).listen(`\0slipway-test-${randomText(10)}`);
  await once(listener, 'listening');
  const near = createConnection(String(listener.address()));
  await once(near, 'connect');
  listener.close();
  return near;
}

const source = Buffer.from('print("hello")\n');

function order(change: Partial<ExecutionOrder> = {}): ExecutionOrder {
  const file = { path: 'script.py', digest: digestOf(source), sizeBytes: source.length };
  return {
    run: createId('run', 1_700_000_000_000),
    image: digestOf('image'),
    program: {
      kind: 'script',
      entry: 'script.py',
      files: [file],
      args: [],
      env: {},
      context: null,
      streams: 'merged',
    },
    limits: defaultLimits,
    outputs: [],
    stdin: false,
    ...change,
  };
}

async function* of<Item>(...items: Item[]): AsyncGenerator<Item> {
  yield* items;
}

function file(path: string, ...pieces: Uint8Array[]): InputFile {
  return { path, sizeBytes: pieces.reduce((sum, piece) => sum + piece.length, 0), content: of(...pieces) };
}

function feed(change: Partial<ExecutionFeed> = {}): ExecutionFeed {
  return { code: of(file('script.py', source)), inputs: of(), stdin: of(), ...change };
}

async function read(content: AsyncIterable<Uint8Array>): Promise<string> {
  const pieces: Uint8Array[] = [];
  for await (const piece of content) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

/** Gives `go` when prepared; file content and output become text. */
async function drive(execution: ReturnType<Starter['execute']>): Promise<unknown[]> {
  const seen: unknown[] = [];
  for await (const event of execution.events) {
    if (event.type === 'prepared') execution.go();
    if (event.type === 'file') seen.push({ ...event, content: await read(event.content) });
    else if (event.type === 'output') seen.push(`${event.stream}: ${Buffer.from(event.bytes)}`);
    else seen.push(event.type);
  }
  return seen;
}

async function* plain(
  ...[, { inputs }, permission, signal]: Parameters<Script>
): AsyncGenerator<ExecutionEvent> {
  for await (const input of inputs) await read(input.content);
  yield { type: 'prepared', sandbox: 'sw-1' };
  await permission.wait(signal);
  yield { type: 'started' };
}

describe('the starter protocol', () => {
  it('carries an execution with its code, inputs, stdin, output and files', async () => {
    const { remote } = await connected(async function* (asked, given, permission, signal) {
      const heard: string[] = [];
      for await (const input of given.inputs) heard.push(`${input.path}=${await read(input.content)}`);
      yield { type: 'prepared', sandbox: 'sw-1' };
      await permission.wait(signal);
      yield { type: 'started' };
      for await (const code of given.code) heard.push(`${code.path}=${await read(code.content)}`);
      heard.push(`stdin=${await read(given.stdin)}`);
      yield { type: 'output', stream: 'stderr', bytes: Buffer.from(heard.join('|')) };
      yield { type: 'exited', outcome: { kind: 'succeeded' }, usage };
      yield { type: 'file', path: 'a/b', sizeBytes: 6, content: of(Buffer.from('res'), Buffer.from('ult')) };
      yield { type: 'file', path: 'empty', sizeBytes: 0, content: of() };
      yield { type: 'skipped', path: 'link', reason: asked.run };
    });
    await using _ = remote;
    const asked = order({ stdin: true });
    const inputs = of(file('x.csv', Buffer.from('1,'), Buffer.from('2')), file('empty'));
    const seen = await drive(remote.execute(asked, feed({ inputs, stdin: of(Buffer.from('typed')) }), never));
    assert.deepEqual(seen, [
      'prepared',
      'started',
      'stderr: x.csv=1,2|empty=|script.py=print("hello")\n|stdin=typed',
      'exited',
      { type: 'file', path: 'a/b', sizeBytes: 6, content: 'result' },
      { type: 'file', path: 'empty', sizeBytes: 0, content: '' },
      'skipped',
    ]);
  });

  it('skips file content that the caller does not read', async () => {
    const { remote } = await connected(async function* (...args): AsyncGenerator<ExecutionEvent> {
      yield* plain(...args);
      yield { type: 'file', path: 'big', sizeBytes: 3_000_000, content: of(Buffer.alloc(3_000_000)) };
      yield { type: 'skipped', path: 'after', reason: 'x' };
    });
    await using _ = remote;
    const execution = remote.execute(order(), feed(), never);
    const types: string[] = [];
    for await (const event of execution.events) {
      if (event.type === 'prepared') execution.go();
      types.push(event.type);
    }
    assert.deepEqual(types, ['prepared', 'started', 'file', 'skipped']);
  });

  it('gives the error of the starter to the caller, with kind, code and details', async () => {
    const { remote } = await connected(async function* (...args): AsyncGenerator<ExecutionEvent> {
      yield* plain(...args);
      throw new SlipwayError('unsupported', 'control-missing', 'no seccomp', {
        details: { control: 'seccomp' },
      });
    });
    await using _ = remote;
    await assert.rejects(drive(remote.execute(order(), feed(), never)), (error) => {
      assert.ok(isSlipwayError(error, 'control-missing'));
      assert.deepEqual([error.kind, error.details], ['unsupported', { control: 'seccomp' }]);
      return true;
    });
    await assert.rejects(remote.resolveImage('what/ever', never), (error) => {
      assert.ok(isSlipwayError(error, 'image-not-found'));
      assert.deepEqual(error.details, { reference: 'what/ever' });
      return true;
    });
  });

  it('cancels before the program started: the outcome is cancelled and the sandbox is told to go', async () => {
    const gone = Promise.withResolvers<void>();
    const { remote } = await connected(async function* (_order, _feed, _permission, signal) {
      signal.addEventListener('abort', () => gone.resolve());
      yield { type: 'prepared', sandbox: 'sw-1' };
      await gone.promise;
    });
    await using _ = remote;
    const execution = remote.execute(order(), feed(), never);
    const events: ExecutionEvent[] = [];
    for await (const event of execution.events) {
      events.push(event);
      if (event.type === 'prepared') execution.cancel('not wanted', 1000);
    }
    await gone.promise;
    assert.deepEqual(events.at(-1)?.type === 'exited' && events.at(-1), {
      ...(events.at(-1) ?? {}),
      outcome: { kind: 'cancelled', reason: 'not wanted' },
    });
  });

  it('cancels a running program although its stdin is not read', async () => {
    const { remote } = await connected(async function* (...args): AsyncGenerator<ExecutionEvent> {
      const [, , permission] = args;
      yield* plain(...args);
      const cancelled = Promise.withResolvers<string>();
      permission.whenRunning((reason, graceMs) => cancelled.resolve(`${reason} ${graceMs}`));
      const reason = await cancelled.promise;
      yield { type: 'exited', outcome: { kind: 'cancelled', reason }, usage };
    });
    await using _ = remote;
    async function* endless() {
      for (;;) yield Buffer.alloc(65_536);
    }
    const execution = remote.execute(order({ stdin: true }), feed({ stdin: endless() }), never);
    const events: ExecutionEvent[] = [];
    for await (const event of execution.events) {
      events.push(event);
      if (event.type === 'prepared') execution.go();
      if (event.type === 'started') execution.cancel('enough', 250);
    }
    assert.deepEqual(events.at(-1), {
      type: 'exited',
      outcome: { kind: 'cancelled', reason: 'enough 250' },
      usage,
    });
  });

  it('ends the execution on the starter when the caller aborts or stops reading', async () => {
    for (const way of ['abort', 'return'] as const) {
      const ended = Promise.withResolvers<void>();
      const { remote } = await connected(async function* (...args): AsyncGenerator<ExecutionEvent> {
        args[3].addEventListener('abort', () => ended.resolve());
        yield* plain(...args);
        await ended.promise;
      });
      await using _ = remote;
      const controller = new AbortController();
      const execution = remote.execute(order(), feed(), controller.signal);
      const consume = (async () => {
        for await (const event of execution.events) {
          if (event.type === 'prepared') execution.go();
          if (event.type === 'started' && way === 'return') return;
          if (event.type === 'started') controller.abort(new Error('stop'));
        }
      })();
      if (way === 'abort') await assert.rejects(consume, /stop/);
      else await consume;
      await ended.promise;
    }
  });

  it('says that the starter is unavailable when the connection ends, and then at once', async () => {
    const { remote, near } = await connected(async function* (...args): AsyncGenerator<ExecutionEvent> {
      yield* plain(...args);
      near.destroy();
      await new Promise(() => undefined);
    });
    await assert.rejects(drive(remote.execute(order(), feed(), never)), (error) =>
      isSlipwayError(error, 'starter-unavailable'),
    );
    await remote.closed;
    await assert.rejects(drive(remote.execute(order(), feed(), never)), (error) =>
      isSlipwayError(error, 'starter-unavailable'),
    );
    await assert.rejects(remote.probe(never), (error) => isSlipwayError(error, 'starter-unavailable'));
  });

  it('says so too when the connection ends in the middle of a plain reply', async () => {
    const server = createHttp2Server();
    server.on('stream', (stream) => {
      stream.on('error', () => undefined);
      stream.respond({ ':status': 200 });
      stream.write('{"driver": "oc', () => stream.session?.destroy());
    });
    const remote = createRemoteStarter(await socketPair((far) => server.emit('connection', far)));
    await assert.rejects(remote.probe(never), (error) => isSlipwayError(error, 'starter-unavailable'));
  });

  it('lets other executions run while one is not read', async () => {
    const total = 20_000_000;
    const { remote } = await connected(async function* (...args): AsyncGenerator<ExecutionEvent> {
      yield* plain(...args);
      for (let sent = 0; sent < total; sent += 100_000)
        yield { type: 'output', stream: 'stdout', bytes: Buffer.alloc(100_000) };
    });
    await using _ = remote;
    const stuck = remote.execute(order(), feed(), never);
    const reader = stuck.events[Symbol.asyncIterator]();
    await reader.next();
    stuck.go();
    await reader.next(); // and now nobody reads it
    const seen = await drive(remote.execute(order(), feed(), never));
    const bytes = seen.reduce<number>(
      (sum, text) => sum + (String(text).startsWith('stdout') ? String(text).length - 8 : 0),
      0,
    );
    assert.equal(bytes, total);
    await reader.return?.();
  });

  it('refuses code over the limit and content out of order', async () => {
    const { remote } = await connected(plain);
    await using _ = remote;
    const large = feed({ code: of(file('script.py', Buffer.alloc(17 * 1024 * 1024))) });
    await assert.rejects(drive(remote.execute(order(), large, never)), (error) =>
      isSlipwayError(error, 'content-too-large'),
    );
  });

  it('refuses what is not the protocol, with the reason', async () => {
    const server = serveStarter({ starter: scripted(plain), onAnnounced: () => undefined });
    const near = await socketPair((far) => server.accept(far));
    const session = connect('http://starter', { createConnection: () => near });
    const bad = [
      { type: 'order', order: { ...order(), limits: { ...defaultLimits, memoryBytes: -1 } } },
      { type: 'order', order: { ...order(), hostPath: '/etc' } },
      { type: 'go' },
    ];
    for (const message of bad) {
      const stream = session.request({ ':method': 'POST', ':path': '/v1/executions/x1' });
      stream.end(encodeJsonFrame(message));
      assert.match(await read(stream), /bad-starter-message/);
    }
    for (const path of ['/v1/images/a/b/c/d', '/v2/probe', '/v1/nothing', '/v1/images/%']) {
      const stream = session.request({ ':path': path });
      stream.end();
      assert.match(await read(stream), /"kind":/);
    }
    session.destroy();
  });

  it('passes the announcement on', async () => {
    const { remote, announced } = await connected(plain);
    await using _ = remote;
    await remote.announce('http://127.0.0.1:7070');
    assert.deepEqual(announced, ['http://127.0.0.1:7070']);
  });
});
