import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { createTemporaryDirectory } from '../../tests/support/temporary-directory.ts';
import { isOurs } from './compile-cache.ts';

const module = path.join(import.meta.dirname, 'compile-cache.ts');

/** Runs a program that uses the cache and loads a file of ours. @returns what is cached */
function cachedBy(directory: string): string[] {
  const program = `
    const { useCompileCache } = await import(${JSON.stringify(module)});
    useCompileCache(${JSON.stringify(directory)});
    await import(${JSON.stringify(path.join(import.meta.dirname, 'units.ts'))});`;
  execFileSync(process.execPath, ['--input-type=module', '-e', program]);
  return readdirSync(directory);
}

test('what is loaded is cached in a directory of our own', () => {
  using parent = createTemporaryDirectory();
  const directory = path.join(parent.path, 'cache', 'slipway');
  assert.equal(cachedBy(directory).length, 1);
  assert.ok(isOurs(directory));
});

test('nothing is cached where others could write, or through a link', () => {
  using parent = createTemporaryDirectory();
  const open = path.join(parent.path, 'open');
  mkdirSync(open);
  chmodSync(open, 0o777);
  assert.deepEqual(cachedBy(open), []);
  const target = path.join(parent.path, 'target');
  mkdirSync(target, { mode: 0o700 });
  const link = path.join(parent.path, 'link');
  symlinkSync(target, link);
  assert.ok(!isOurs(link));
  assert.deepEqual(cachedBy(link), []);
});

test('a place that cannot be used stops nothing', () => {
  const program = `
    const { useCompileCache } = await import(${JSON.stringify(module)});
    useCompileCache('/dev/null/x');
    console.log('ok');`;
  assert.equal(String(execFileSync(process.execPath, ['--input-type=module', '-e', program])), 'ok\n');
});
