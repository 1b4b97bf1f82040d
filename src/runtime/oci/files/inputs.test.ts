import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { isSlipwayError } from '../../../base/errors.ts';
import type { InputFile } from '../../driver.ts';
import { stageInputs } from './inputs.ts';

let parent = '';
let root = '';

beforeEach(() => {
  parent = mkdtempSync(path.join(tmpdir(), 'slipway-inputs-'));
  root = path.join(parent, 'data');
});

afterEach(() => rmSync(parent, { recursive: true }));

const never = new AbortController().signal;

function file(name: string, text: string, sizeBytes = Buffer.byteLength(text)): InputFile {
  async function* content() {
    yield Buffer.from(text);
  }
  return { path: name, sizeBytes, content: content() };
}

async function* files(...all: readonly InputFile[]) {
  yield* all;
}

function modeOf(name: string): number {
  return statSync(path.join(root, name)).mode & 0o7777;
}

test('files and directories can be read by all and written by nobody, whatever the umask', async () => {
  const before = process.umask(0o077);
  try {
    await stageInputs(root, files(file('a', 'A'), file('x/y/b', 'B')), never);
  } finally {
    process.umask(before);
  }
  assert.equal(readFileSync(path.join(root, 'x/y/b'), 'utf8'), 'B');
  assert.deepEqual(['.', 'x', 'x/y', 'a', 'x/y/b'].map(modeOf), [0o555, 0o555, 0o555, 0o444, 0o444]);
});

test('a second supply adds to the first', async () => {
  await stageInputs(root, files(file('d/a', 'A')), never);
  await stageInputs(root, files(file('d/b', 'B')), never);
  assert.equal(
    readFileSync(path.join(root, 'd/a'), 'utf8') + readFileSync(path.join(root, 'd/b'), 'utf8'),
    'AB',
  );
});

test('a name that is there already is refused', async () => {
  for (const again of [file('a', 'B'), file('a/b', 'B')]) {
    const staged = stageInputs(root, files(file('a', 'A'), again), never);
    await assert.rejects(staged, (error) => isSlipwayError(error, 'input-exists'), again.path);
    assert.equal(readFileSync(path.join(root, 'a'), 'utf8'), 'A');
    rmSync(root, { recursive: true });
  }
});

test('more or fewer bytes than announced are refused', async () => {
  for (const size of [1, 3]) {
    const staged = stageInputs(root, files(file('a', 'AB', size)), never);
    await assert.rejects(staged, (error) => isSlipwayError(error, 'input-size'));
    rmSync(root, { recursive: true });
  }
});

test('no path leads out', async () => {
  for (const name of ['../a', '/a', 'a/../../b', 'a\0']) {
    await assert.rejects(stageInputs(root, files(file(name, '')), never), (error) =>
      isSlipwayError(error, 'bad-path'),
    );
  }
});

test('a source that never gives anything is left when the signal aborts', async () => {
  const controller = new AbortController();
  async function* silent(): AsyncGenerator<InputFile> {
    controller.abort(new Error('enough'));
    await new Promise(() => undefined);
  }
  await assert.rejects(stageInputs(root, silent(), controller.signal), /enough/);
});
