import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { parseConfig } from '../../src/config/config.ts';
import { readEnvironment } from '../../src/config/env.ts';
import { imagesDir } from '../../src/config/images-dir.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';

const checkout = join(import.meta.dirname, '..', '..');
/** Where the control plane's user can read it, too. */
const program = join(readEnvironment()['STAGED_SLIPWAY'] ?? checkout, 'src', 'main.ts');
const example = join(checkout, 'examples', 'run-a-script');
const pngSignature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

interface Result {
  readonly status: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** An install of its own, over the images of this machine. */
function createInstall() {
  const directory = createTemporaryDirectory();
  chmodSync(directory.path, 0o755); // the OCI runtime's user enters it
  const environment = readEnvironment();
  const env = {
    ...environment,
    SLIPWAY_STATE_DIR: join(directory.path, 'state'),
    SLIPWAY_RUNTIME_DIR: join(directory.path, 'run'),
    SLIPWAY_IMAGES_DIR: imagesDir(parseConfig(environment)),
  };
  return { path: directory.path, env, [Symbol.dispose]: () => directory[Symbol.dispose]() };
}

type Install = ReturnType<typeof createInstall>;

function start({ env }: Install, ...argv: readonly string[]) {
  return spawn(process.execPath, [program, ...argv], { env, stdio: 'pipe' });
}

async function slipway(install: Install, input: string, ...argv: readonly string[]): Promise<Result> {
  const child = start(install, ...argv);
  child.stdin.on('error', () => undefined).end(input);
  const chunks: Buffer[] = [];
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const [status] = await once(child, 'close');
  return { status, stdout: Buffer.concat(chunks), stderr };
}

function scriptIn(install: Install, source: string): string {
  const file = join(install.path, 'script.py');
  writeFileSync(file, source);
  return file;
}

describe('slipway run, in a real sandbox', () => {
  test('the example prints its summary and leaves a chart', async () => {
    using install = createInstall();
    const out = join(install.path, 'out');
    const script = join(example, 'summarise.py');
    const result = await slipway(install, '', 'run', script, '--data', join(example, 'data'), '--out', out);
    assert.equal(result.status, 0, result.stderr);
    assert.match(String(result.stdout), /^118 elements, 7 periods/);
    assert.match(String(result.stdout), /^7 +32 +223\.00 +260\.91 +294\.00$/m);
    assert.match(result.stderr, /succeeded in .* CPU, /);
    assert.deepEqual(readdirSync(out), ['chart.png']);
    const chart = readFileSync(join(out, 'chart.png'));
    assert.deepEqual(chart.subarray(0, 8), pngSignature);
    assert.ok(chart.length > 10_000, `${chart.length} bytes`);
  });

  test('arguments, data, environment, context, input, exact bytes and the exit status go through', async () => {
    using install = createInstall();
    mkdirSync(join(install.path, 'data', 'sub'), { recursive: true });
    writeFileSync(join(install.path, 'data', 'sub', 'x.bin'), Buffer.from([0, 255]));
    const script = scriptIn(
      install,
      `import os, sys
out = sys.stdout.buffer
out.write(repr(sys.argv[1:]).encode() + b"\\n")
out.write(os.environ["KEY"].encode() + b"\\n")
out.write(open("/data/sub/x.bin", "rb").read())
out.write(sys.stdin.buffer.read())
sys.exit(41)
`,
    );
    const argv = [
      'run',
      script,
      '--data',
      join(install.path, 'data'),
      '--env',
      'KEY=a=b',
      '--',
      '--x',
      'ä b',
    ];
    const result = await slipway(install, 'typed\n', ...argv);
    assert.equal(result.status, 41, result.stderr);
    const expected = [Buffer.from("['--x', 'ä b']\na=b\n"), Buffer.from([0, 255]), Buffer.from('typed\n')];
    assert.deepEqual(result.stdout, Buffer.concat(expected));
  });

  test('limits end it with their own statuses', async () => {
    using install = createInstall();
    const sleeping = await slipway(install, 'import time; time.sleep(600)', 'run', '-', '--timeout', '300ms');
    assert.equal(sleeping.status, 124, sleeping.stderr);
    const greedy = await slipway(install, 'x = b"x" * 10**9', 'run', '-', '--memory', '64mib');
    assert.equal(greedy.status, 137, greedy.stderr);
    const chatty = await slipway(
      install,
      'while True: print("x" * 1000)',
      'run',
      '-',
      '--limit',
      'output=100kib',
    );
    assert.equal(chatty.status, 123, chatty.stderr);
    assert.ok(chatty.stdout.length <= 100 * 1024);
  });

  test('Ctrl-C cancels, and nothing is left behind', async () => {
    using install = createInstall();
    const script = scriptIn(install, 'import time\nprint("ready", flush=True)\ntime.sleep(600)');
    const child = start(install, 'run', script, '--stdin', 'none');
    const closed = once(child, 'close');
    let stderr = '';
    child.stderr.on('data', (chunk) => {
      stderr += chunk;
    });
    await Promise.race([once(child.stdout, 'data'), closed]);
    child.kill('SIGINT');
    const [status] = await closed;
    assert.equal(status, 130, stderr);
    const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
    assert.deepEqual(
      mounts.filter((line) => line.includes(`${install.path}/run`) && line.includes('/sandboxes/')),
      [],
    );
    const running = execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' });
    assert.ok(!running.includes(install.path), running);
  });
});

describe('slipway start --once', () => {
  test('serves, runs the example through the API, shows its output and where the chart is', async () => {
    using install = createInstall();
    const env = { ...install.env, SLIPWAY_LISTEN: '127.0.0.1:0', TMPDIR: install.path };
    const result = await slipway({ ...install, env }, '', 'start', '--once');
    assert.equal(result.status, 0, result.stderr);
    const text = String(result.stdout);
    assert.match(text, /118 elements, 7 periods/);
    assert.match(text, /^succeeded in /m);
    const chart = /files: (\S+chart\.png)/.exec(text)?.[1];
    assert.ok(chart !== undefined, text);
    assert.deepEqual(readFileSync(chart).subarray(0, 8), pngSignature);
    assert.equal(result.stderr, '');
  });
});
