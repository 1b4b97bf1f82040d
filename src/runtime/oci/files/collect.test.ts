import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import type { CollectRules } from '../../driver.ts';
import { collectFiles } from './collect.ts';

let root = '';

beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'slipway-collect-'));
});

// Not rmSync: it gives up at paths that are too long.
afterEach(() => execFileSync('rm', ['-rf', root]));

async function collect(rules: Partial<CollectRules> = {}) {
  const files: Record<string, string> = {};
  const skipped: Record<string, string> = {};
  const all = { patterns: ['**'], maxFiles: 100, maxBytes: 1e6, ...rules };
  for await (const entry of collectFiles(root, all, AbortSignal.timeout(60_000))) {
    if (entry.kind === 'skipped') skipped[entry.path] = entry.reason;
    else files[entry.path] = await read(entry.content);
  }
  return { files, skipped };
}

async function read(content: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const part of content) parts.push(part);
  return Buffer.concat(parts).toString();
}

function put(name: string, content = ''): void {
  mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
  writeFileSync(path.join(root, name), content);
}

test('plain files come out with their paths and bytes', async () => {
  put('a.txt', 'A');
  put('x/y/b.txt', 'B');
  put('x/c.bin', 'C');
  assert.deepEqual((await collect({ patterns: ['**/*.txt'] })).files, { 'a.txt': 'A', 'x/y/b.txt': 'B' });
});

test('a file larger than one read is whole', async () => {
  put('big', 'x'.repeat(200_001));
  assert.equal((await collect()).files['big']?.length, 200_001);
});

test('links, FIFOs and sockets are left out with a note, and no link is followed', async () => {
  put('real/secret', 'S');
  symlinkSync('/etc/passwd', path.join(root, 'file-link'));
  symlinkSync('/etc', path.join(root, 'directory-link'));
  execFileSync('mkfifo', [path.join(root, 'fifo')]);
  const { files, skipped } = await collect();
  assert.deepEqual(files, { 'real/secret': 'S' });
  assert.deepEqual(Object.keys(skipped).sort(), ['directory-link', 'fifo', 'file-link']);
  assert.match(skipped['file-link'] ?? '', /symbolic link/);
});

test('names that are no text are told, escaped', async () => {
  writeFileSync(Buffer.concat([Buffer.from(`${root}/bad-`), Buffer.from([0xff, 0x1b])]), 'x');
  assert.deepEqual(Object.keys((await collect()).skipped), ['bad-\\xff\\x1b']);
});

test('beyond the number of files the rest is counted', async () => {
  for (let i = 0; i < 7; i++) put(`f${i}`);
  const { files, skipped } = await collect({ maxFiles: 3 });
  assert.equal(Object.keys(files).length, 3);
  assert.match(skipped['.'] ?? '', /^4 more files/);
});

test('a file that is too large is left out, a smaller one still comes', async () => {
  put('sparse');
  truncateSync(path.join(root, 'sparse'), 1024 ** 4);
  put('small', 'ok');
  const { files, skipped } = await collect({ maxBytes: 2 });
  assert.deepEqual(files, { small: 'ok' });
  assert.match(skipped['sparse'] ?? '', /1099511627776 bytes/);
});

test('notes are bounded', async () => {
  for (let i = 0; i < 1100; i++) symlinkSync('x', path.join(root, `l${i}`));
  const { skipped } = await collect();
  assert.equal(Object.keys(skipped).length, 1001);
  assert.match(skipped['.'] ?? '', /^100 more/);
});

test('a tree deeper than any path comes to an end', async () => {
  const script = 'for (1..600) { mkdir "d" x 10; chdir "d" x 10 } open F, ">f"';
  execFileSync('perl', ['-e', script], { cwd: root });
  const { files, skipped } = await collect();
  assert.deepEqual(files, {});
  assert.deepEqual(Object.values(skipped), ['its path is longer than 1024 bytes']);
});
