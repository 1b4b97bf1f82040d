/** The image `node` in real sandboxes, by the command line: built from its recipe where this machine lacks it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { parseConfig } from '../../src/config/config.ts';
import { readEnvironment } from '../../src/config/env.ts';
import { imagesDir } from '../../src/config/images-dir.ts';
import { ensureImage } from '../../src/images/build/ensure-image.ts';
import { createImageStore } from '../../src/images/image-store.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';

const projectRoot = join(import.meta.dirname, '..', '..');
const hostEnv = readEnvironment();
const store = createImageStore({ root: imagesDir(parseConfig(hostEnv)) });
const example = join(projectRoot, 'examples', 'run-node');

interface Result {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** `slipway run --image node …` with directories of its own, over the images of this machine. */
async function run(root: string, input: string, ...argv: string[]): Promise<Result> {
  chmodSync(root, 0o755); // the OCI runtime's user enters it
  const env = {
    ...hostEnv,
    SLIPWAY_STATE_DIR: join(root, 'state'),
    SLIPWAY_RUNTIME_DIR: join(root, 'run'),
    SLIPWAY_IMAGES_DIR: store.root,
  };
  const main = join(projectRoot, 'src', 'main.ts');
  const child = spawn(process.execPath, [main, 'run', '--image', 'node', ...argv], { env, stdio: 'pipe' });
  child.stdin.on('error', () => undefined).end(input);
  const texts = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (chunk: string) => {
      texts[name] += chunk;
    });
  const [status] = await once(child, 'close');
  return { status, ...texts };
}

describe('the image node', () => {
  before(async () => {
    await ensureImage(store, 'node', { projectRoot, hostEnv });
  });

  test('holds the Node that its lock names, and says what is in it', async () => {
    const image = await store.resolve('node');
    const version = /^version=(.*)$/m.exec(
      readFileSync(join(projectRoot, 'images/node/node.lock'), 'utf8'),
    )?.[1];
    assert.equal(version, process.versions.node);
    assert.deepEqual(
      image.packages.filter(({ source }) => source === 'npm'),
      [{ name: 'node', version, source: 'npm' }],
    );
    assert.equal(image.user.uid, 65532);
  });

  test('runs the example: data, context, library, a file that comes out', async () => {
    using directory = createTemporaryDirectory();
    const out = join(directory.path, 'out');
    const script = join(example, 'summarise.mjs');
    const argv = [script, '--data', join(example, 'data'), '--context', '{"title":"A town"}', '--out', out];
    const result = await run(directory.path, '', ...argv);
    assert.equal(result.status, 0, result.stderr);
    assert.match(result.stdout, /^A town: 12 months, 10\.2 °C on average\nJan {4}1\.2 {2}▪\n/);
    assert.deepEqual(readdirSync(out), ['chart.svg']);
    assert.match(readFileSync(join(out, 'chart.svg'), 'utf8'), /^<svg [\s\S]*<rect [^>]*>/);
  });

  test('runs a folder of code, passes input, arguments and environment, and ends with its status', async () => {
    using directory = createTemporaryDirectory();
    const code = join(directory.path, 'code');
    mkdirSync(join(code, 'lib'), { recursive: true });
    writeFileSync(join(code, 'lib', 'words.cjs'), 'exports.words = (text) => text.split(" ").length;');
    writeFileSync(
      join(code, 'main.ts'),
      `import { readFileSync } from 'node:fs';
import { words } from './lib/words.cjs';
const input: string = readFileSync(0, 'utf8');
console.log(words(input), process.argv.slice(2), process.env.KEY, process.getuid?.());
console.error('to the other stream');
process.exit(41);
`,
    );
    const argv = ['main.ts', '--code', code, '--env', 'KEY=a=b', '--', '--x', 'ä b'];
    const result = await run(directory.path, 'one two three', ...argv);
    assert.equal(result.status, 41, result.stderr);
    assert.equal(result.stdout, "3 [ '--x', 'ä b' ] a=b 65532\nto the other stream\n");
  });

  test('its limits and walls are those of every sandbox', async () => {
    using directory = createTemporaryDirectory();
    const source = `
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
const tried = [];
for (const path of ['/etc/x', '/usr/lib/slipway/x', '/node_modules/slipway/index.js', '/work/fine'])
  try { writeFileSync(path, ''); tried.push(path); } catch (error) { tried.push(error.code); }
const socket = connect(80, '192.0.2.1');
socket.on('error', (error) => { tried.push(error.code); console.log(JSON.stringify(tried)); });
`;
    const walls = await run(directory.path, source, '-');
    assert.equal(walls.stdout, '["EROFS","EROFS","EROFS","/work/fine","ENETUNREACH"]\n', walls.stderr);
    const greedy = 'const all = []; for (;;) all.push(Buffer.alloc(1e6, 1));';
    const killed = await run(directory.path, greedy, '-', '--memory', '128mib');
    assert.equal(killed.status, 137, killed.stderr);
    const endless = await run(directory.path, 'setInterval(() => {}, 1000)', '-', '--timeout', '500ms');
    assert.equal(endless.status, 124, endless.stderr);
  });
});
