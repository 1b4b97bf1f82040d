/** `slipway run` as root without a server: streams, files, exit statuses, signals, and nothing left. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { z } from 'zod';
import { parseConfig } from '../../src/config/config.ts';
import { readEnvironment } from '../../src/config/env.ts';
import { imagesDir } from '../../src/config/images-dir.ts';
import { assertNothingLeft } from '../support/leftovers.ts';
import { until } from '../support/until.ts';

const launcher = path.join(import.meta.dirname, '..', '..', 'bin', 'slipway.cjs');

describe('slipway run', () => {
  let directory: string;
  let runtime: string;
  const at = (...parts: string[]) => path.join(directory, ...parts);

  before(() => {
    directory = mkdtempSync(path.join(tmpdir(), 'slipway-test-'));
    runtime = mkdtempSync('/run/slipway-t-');
    chmodSync(runtime, 0o711); // sandboxes find their image below it
  });

  after(async () => {
    const install = readFileSync(at('state', 'install-id'), 'utf8').trim();
    const runtimeDir = path.join(runtime, install);
    await assertNothingLeft({ install, runtimeDir, stateDir: at('state', 'sandboxes') });
    for (const made of [directory, runtime]) rmSync(made, { recursive: true, force: true });
  });

  function start(args: readonly string[]): ChildProcess {
    const env = {
      ...readEnvironment(),
      SLIPWAY_STATE_DIR: at('state'),
      SLIPWAY_RUNTIME_DIR: runtime,
      SLIPWAY_IMAGES_DIR: imagesDir(parseConfig(readEnvironment())),
    };
    return spawn(process.execPath, [launcher, 'run', ...args], { env });
  }

  async function run(args: readonly string[], stdin: string | Buffer = '') {
    const child = start(args);
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout?.on('data', (chunk) => stdout.push(chunk));
    child.stderr?.on('data', (chunk) => stderr.push(chunk));
    child.stdin?.on('error', () => undefined).end(stdin);
    const [code] = await once(child, 'close');
    return { code, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString() };
  }

  function script(source: string): string {
    const file = at(`script-${readdirSync(directory).length}.py`);
    writeFileSync(file, source);
    return file;
  }

  it('runs a script on a folder and brings its files back', async () => {
    mkdirSync(at('data', 'sub'), { recursive: true });
    writeFileSync(at('data', 'sub', 'x.csv'), 'a,b\n1,2\n3,4\n');
    symlinkSync('/etc/shadow', at('data', 'link'));
    const file = script(
      'import sys, os, pandas as pd\ndf = pd.read_csv("/data/sub/x.csv")\nprint(df.sum().to_dict(), sys.argv[1:], os.listdir("/data"))\ndf.describe().to_csv("summary.csv")\nos.symlink("/etc/passwd", "evil")',
    );
    const limits = ['--timeout', '30s', '--memory', '512mb'];
    const result = await run([
      file,
      '--data',
      at('data'),
      '--out',
      at('results'),
      ...limits,
      '--',
      '--year',
      '2024',
    ]);
    assert.equal(result.code, 0, result.stderr);
    assert.equal(result.stdout.toString(), "{'a': 4, 'b': 6} ['--year', '2024'] ['sub']\n");
    assert.deepEqual(readdirSync(at('results')), ['summary.csv']);
    assert.match(result.stderr, /link/);
    assert.match(result.stderr, /evil/);
  });

  it('passes stdin and stdout byte for byte', async () => {
    const bytes = Buffer.from([...Array(256).keys()]);
    const result = await run([script('import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())')], bytes);
    assert.deepEqual([...result.stdout], [...bytes]);
  });

  it('reads the script from standard input', async () => {
    const result = await run(['-'], 'print(6 * 7)');
    assert.equal(result.stdout.toString(), '42\n');
  });

  const statuses: readonly (readonly [string, string, readonly string[], number])[] = [
    ["the script's own", 'import sys; sys.exit(7)', [], 7],
    ['a signal', 'import os; os.abort()', [], 134],
    ['the time limit', 'import time; time.sleep(60)', ['--timeout', '300ms'], 124],
    ['the memory limit', 'x = bytearray(300_000_000)', ['--memory', '64mb'], 137],
    ['the output limit', 'while True: print("x" * 1000)', ['--limit', 'output=100kb'], 123],
  ];
  for (const [what, source, options, code] of statuses) {
    it(`ends with ${code}: ${what}`, async () => {
      const result = await run([...options, script(source)]);
      assert.equal(result.code, code, result.stderr);
    });
  }

  it('ends with 2 and what to do when the command line or a file is wrong', async () => {
    assert.deepEqual(
      [(await run(['--memory', 'much', 'x.py'])).code, (await run([at('no.py')])).code],
      [2, 2],
    );
    const result = await run(['--image', 'nothing', script('')]);
    assert.match(result.stderr, /nothing/);
    assert.match(result.stderr, /slipway image/);
  });

  it('streams output while the script runs; Ctrl-C cancels', async () => {
    const child = start([
      script('import time\nprint("working", flush=True)\ntime.sleep(600)'),
      '--timeout',
      '600s',
    ]);
    let seen = '';
    child.stdout?.on('data', (chunk) => {
      seen += chunk;
    });
    child.stdin?.end();
    await until('its output is here', () => seen === 'working\n');
    assert.equal(child.exitCode, null);
    child.kill('SIGINT');
    const [code] = await once(child, 'close');
    assert.equal(code, 130);
  });

  it('tells programs everything with --json', async () => {
    const result = await run([
      '--json',
      script('print("x")\nopen("f", "w").write("y")'),
      '--out',
      at('json-results'),
    ]);
    const shape = z.looseObject({
      outcome: z.looseObject({ kind: z.string() }),
      usage: z.looseObject({ wallMs: z.number() }),
    });
    const report = shape.parse(JSON.parse(result.stdout.toString()));
    assert.equal(report.outcome.kind, 'succeeded');
    assert.equal(readFileSync(at('json-results', 'f'), 'utf8'), 'y');
  });

  it('leaves nothing when it is killed, after the next run', async () => {
    const child = start([
      script('import time\nprint("working", flush=True)\ntime.sleep(600)'),
      '--timeout',
      '600s',
    ]);
    child.stdin?.end();
    const closed = once(child, 'close');
    await Promise.race([once(child.stdout ?? child, 'data'), closed]);
    assert.ok(child.kill('SIGKILL'), 'it runs');
    await closed;
    assert.equal((await run([script('print("next")')])).stdout.toString(), 'next\n');
    // `after` looks for what is left.
  });
});
