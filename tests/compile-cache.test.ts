import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { isOurs } from '../bin/compile-cache.mjs';
import { createTemporaryDirectory } from './support/temporary-directory.ts';

const checkout = path.join(import.meta.dirname, '..');
const cache = path.join(checkout, 'bin', 'compile-cache.mjs');
const someModule = path.join(checkout, 'src', 'base', 'units.ts');

/** Runs a program that uses the cache and loads a file of ours. @returns what it prints */
function run(directory: string): string {
  const program = `
    const { useCompileCache } = await import(${JSON.stringify(cache)});
    useCompileCache(${JSON.stringify(directory)});
    const { parseSize } = await import(${JSON.stringify(someModule)});
    console.log(parseSize('1kib'));`;
  const env = { ...process.env, NODE_DISABLE_COMPILE_CACHE: undefined, NODE_COMPILE_CACHE: undefined };
  return String(execFileSync(process.execPath, ['--input-type=module', '-e', program], { env }));
}

test('what is loaded is cached in a directory of our own', () => {
  using parent = createTemporaryDirectory();
  const directory = path.join(parent.path, 'cache', 'slipway');
  assert.equal(run(directory), '1024\n');
  assert.equal(readdirSync(directory).length, 1);
  assert.ok(isOurs(directory));
  assert.equal(run(directory), '1024\n');
});

test('nothing is cached where others could write, or through a link', () => {
  using parent = createTemporaryDirectory();
  const open = path.join(parent.path, 'open');
  mkdirSync(open);
  chmodSync(open, 0o777);
  const target = path.join(parent.path, 'target');
  mkdirSync(target, { mode: 0o700 });
  const link = path.join(parent.path, 'link');
  symlinkSync(target, link);
  for (const directory of [open, link]) {
    assert.ok(!isOurs(directory));
    assert.equal(run(directory), '1024\n');
    assert.deepEqual(readdirSync(directory), []);
  }
});

test('a place that cannot be used stops nothing', () => {
  assert.equal(run('/dev/null/x'), '1024\n');
});
