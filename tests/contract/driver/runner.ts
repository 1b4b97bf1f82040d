/** The use `runner`: a program of the image on an inherited channel. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { describe, test } from 'node:test';
import type { Digest } from '../../../src/base/digest.ts';
import { isSlipwayError } from '../../../src/base/errors.ts';
import { encodeBytesFrames, encodeJsonFrame, readFrames } from '../../../src/base/frames.ts';
import type { ScriptProgram } from '../../../src/model/program.ts';
import { parseRunnerMessage, toScriptRequest } from '../../../src/model/runner-protocol.ts';
import type { Sandbox, SandboxUse } from '../../../src/runtime/driver.ts';
import { endStdin, patience, readLogs, specOf } from '../../support/run-sandbox.ts';
import { python, type Subject } from './subject.ts';

/** Sends back each byte in upper case; tells which descriptors it has. */
const echoRunner = `
import os, socket
channel = socket.socket(fileno=3)
channel.sendall(",".join(sorted(os.listdir("/proc/self/fd"))).encode() + b"\\n")
while data := channel.recv(65536): channel.sendall(data.upper())
print("channel ended", flush=True)`;

export function describeRunner(subject: Subject): void {
  const create = (use: SandboxUse, argv: readonly string[] = []): Promise<Sandbox> => {
    const { driver, image } = subject();
    const withRunner = argv.length === 0 ? image : { ...image, runner: { protocol: 1, argv, preload: [] } };
    return driver.create({ ...specOf({ image: withRunner, argv: [] }), use }, patience());
  };

  describe('runner', () => {
    test('a driver without runners refuses them', async () => {
      if (subject().driver.capabilities.runner) return;
      await assert.rejects(create({ kind: 'runner' }, python(echoRunner)), isUnsupported);
    });

    test('the channel carries bytes both ways, on descriptor 3 alone, and its end', async () => {
      await using sandbox = await create({ kind: 'runner' }, python(echoRunner));
      await sandbox.start(patience());
      endStdin(sandbox);
      const output = readLogs(sandbox);
      const channel = sandbox.channel();
      const received: Buffer[] = [];
      channel.on('data', (bytes: Buffer) => received.push(bytes));
      const ended = once(channel, 'close');
      channel.end(Buffer.alloc(3_000_000, 'abc'));
      const { stdout } = await output;
      await ended;
      const text = Buffer.concat(received).toString();
      assert.match(text, /^0,1,2,3(,4)?\n/); // 4: the directory that is being listed
      assert.equal(text.slice(text.indexOf('\n') + 1), 'ABC'.repeat(1_000_000));
      assert.equal(stdout.toString(), 'channel ended\n');
    });

    test('the runner of the image itself: says that it is ready, runs a script, reports its end', async () => {
      assert.ok(subject().image.runner, 'the image has a runner');
      const script = 'import os, sys; print(os.getcwd(), sys.argv[1:], os.environ["GIVEN"]); sys.exit(3)';
      await using sandbox = await create({ kind: 'runner' });
      await sandbox.start(patience());
      endStdin(sandbox);
      const output = readLogs(sandbox);
      const digest: Digest = `sha256:${createHash('sha256').update(script).digest('hex')}`;
      const file = { path: 'main.py', digest, sizeBytes: script.length };
      const program: ScriptProgram = {
        ...{ kind: 'script', entry: 'main.py', files: [file], args: ['a', 'b'], env: { GIVEN: 'x' } },
        ...{ context: null, streams: 'merged' },
      };
      assert.deepEqual(await talk(sandbox.channel(), program, script), ['ready', 'started', 'exit 3']);
      assert.equal((await output).stdout.toString(), "/work ['a', 'b'] x\n");
    });

    test('both streams of a runner come out; it merges those of its program by itself', async () => {
      const source = 'import os\nfor i in range(1000): os.write(1, b"o\\n"); os.write(2, b"e\\n")';
      await using sandbox = await create({ kind: 'runner' }, python(source));
      await sandbox.start(patience());
      endStdin(sandbox);
      sandbox.channel().on('error', () => undefined);
      const { stdout, stderr } = await readLogs(sandbox);
      assert.equal(stdout.toString(), 'o\n'.repeat(1000));
      assert.equal(stderr.toString(), 'e\n'.repeat(1000));
    });

    test('a runner that dies ends the channel', async () => {
      await using sandbox = await create({ kind: 'runner' }, python('raise SystemExit(9)'));
      await sandbox.start(patience());
      const channel = sandbox.channel();
      channel.on('error', () => undefined);
      const closed = once(channel, 'close');
      channel.resume();
      await readLogs(sandbox);
      await closed;
      const status = await sandbox.wait(patience());
      assert.ok(status.kind === 'exited' && status.code === 9);
    });

    test('a child that outlives the runner cannot keep the channel', async () => {
      const source = 'import os, time\nif os.fork() == 0: time.sleep(600)';
      await using sandbox = await create({ kind: 'runner' }, python(source));
      await sandbox.start(patience());
      const channel = sandbox.channel();
      channel.on('error', () => undefined);
      const closed = once(channel, 'close');
      channel.resume();
      await readLogs(sandbox);
      await closed;
    });

    test('the channel is given once, and only to a runner that was started', async () => {
      await using sandbox = await create({ kind: 'runner' }, python(echoRunner));
      assert.throws(() => sandbox.channel());
      await sandbox.start(patience());
      sandbox.channel().on('error', () => undefined);
      assert.throws(() => sandbox.channel());
      await using command = await create({ kind: 'command', argv: ['true'], streams: 'merged' });
      await command.start(patience());
      assert.throws(() => command.channel());
    });

    test('an image without a runner is refused', async () => {
      const { driver, image } = subject();
      const { runner: _, ...bare } = image;
      const spec = { ...specOf({ image: bare, argv: [] }), use: { kind: 'runner' } as const };
      await assert.rejects(driver.create(spec, patience()), (error) => isSlipwayError(error));
    });
  });
}

function isUnsupported(error: unknown): boolean {
  return isSlipwayError(error) && error.kind === 'unsupported';
}

/** Speaks the runner protocol for a script of one file. @returns what the runner said */
async function talk(channel: Duplex, program: ScriptProgram, script: string): Promise<string[]> {
  channel.on('error', () => undefined);
  const said: string[] = [];
  for await (const frame of readFrames(channel)) {
    assert.ok(frame.kind === 'json');
    const message = parseRunnerMessage(frame.value);
    said.push(message.type === 'exit' && 'code' in message ? `exit ${message.code}` : message.type);
    if (message.type !== 'ready') continue;
    channel.write(encodeJsonFrame(toScriptRequest(program)));
    for (const bytes of encodeBytesFrames(Buffer.from(script))) channel.write(bytes);
  }
  return said;
}
