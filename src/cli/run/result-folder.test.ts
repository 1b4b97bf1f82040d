import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { createTemporaryDirectory } from '../../../tests/support/temporary-directory.ts';
import { isSlipwayError } from '../../base/errors.ts';
import { ResultFolder } from './result-folder.ts';

async function* bytes(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}

const refused = (code: string) => (error: unknown) => isSlipwayError(error, code);

test('files are written into a folder that is made, with the folders in between', async () => {
  using directory = createTemporaryDirectory();
  const out = path.join(directory.path, 'new', 'out');
  const folder = await ResultFolder.create(out, false);
  await folder.write('a/b/c.txt', bytes('one'));
  await folder.write('a/d.txt', bytes('two'));
  assert.equal(readFileSync(path.join(out, 'a/b/c.txt'), 'utf8'), 'one');
  assert.equal(readFileSync(path.join(out, 'a/d.txt'), 'utf8'), 'two');
});

test('nothing is written outside, through a link, or over what is there', async () => {
  using directory = createTemporaryDirectory();
  const out = path.join(directory.path, 'out');
  const outside = path.join(directory.path, 'outside');
  mkdirSync(outside);
  const folder = await ResultFolder.create(out, false);
  symlinkSync(outside, path.join(out, 'link'));
  symlinkSync(path.join(outside, 'target'), path.join(out, 'file'));
  writeFileSync(path.join(out, 'mine'), 'kept');
  for (const name of ['../outside/x', '/etc/x', 'a/../../outside/x', 'a//b', '']) {
    await assert.rejects(folder.write(name, bytes('x')), refused('bad-path'), name);
  }
  for (const name of ['link/x', 'file', 'mine', 'mine/x']) {
    await assert.rejects(folder.write(name, bytes('x')), refused('results-unwritable'), name);
  }
  assert.deepEqual(readdirSync(outside), []);
  assert.equal(readFileSync(path.join(out, 'mine'), 'utf8'), 'kept');
});

test('a folder with files is refused before anything runs, unless they may be replaced', async () => {
  using directory = createTemporaryDirectory();
  const outside = path.join(directory.path, 'outside');
  const out = path.join(directory.path, 'out');
  mkdirSync(out);
  writeFileSync(outside, 'safe');
  writeFileSync(path.join(out, 'old'), 'old');
  symlinkSync(outside, path.join(out, 'link'));
  await assert.rejects(ResultFolder.create(out, false), refused('results-not-empty'));
  const folder = await ResultFolder.create(out, true);
  await folder.write('old', bytes('new'));
  await folder.write('link', bytes('new'));
  assert.equal(readFileSync(path.join(out, 'old'), 'utf8'), 'new');
  assert.equal(readFileSync(path.join(out, 'link'), 'utf8'), 'new');
  assert.equal(readFileSync(outside, 'utf8'), 'safe');
});

test('a file whose content breaks off is not left half', async () => {
  using directory = createTemporaryDirectory();
  const folder = await ResultFolder.create(path.join(directory.path, 'out'), false);
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('half');
    throw new Error('gone');
  }
  await assert.rejects(folder.write('x', broken()), /gone/);
  assert.ok(!existsSync(path.join(folder.path, 'x')));
});
