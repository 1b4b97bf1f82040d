import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { createTemporaryDirectory } from '../../../tests/support/temporary-directory.ts';
import { isSlipwayError } from '../../base/errors.ts';
import type { LocalFile } from './backend.ts';
import { walkFolder } from './folder.ts';

async function walkAll(root: string): Promise<{ files: LocalFile[]; skipped: string[] }> {
  const files: LocalFile[] = [];
  const skipped: string[] = [];
  for await (const file of walkFolder(root, (name, why) => skipped.push(`${name}: ${why}`))) files.push(file);
  return { files, skipped };
}

async function read(file: LocalFile | undefined): Promise<string> {
  assert.ok(file !== undefined);
  const chunks: Uint8Array[] = [];
  for await (const chunk of file.read()) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

test('a folder is walked in the order of names; links, FIFOs and names that are no text are left out', async () => {
  using directory = createTemporaryDirectory();
  const root = directory.path;
  mkdirSync(path.join(root, 'b', 'empty'), { recursive: true });
  writeFileSync(path.join(root, 'c.txt'), 'see');
  writeFileSync(path.join(root, 'b', 'ü\n.txt'), 'umlaut');
  writeFileSync(path.join(root, 'a'), '');
  writeFileSync(Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0x64, 0xff])]), 'no text');
  symlinkSync('/etc/passwd', path.join(root, 'link'));
  symlinkSync('/etc', path.join(root, 'b', 'folder'));
  execFileSync('mkfifo', [path.join(root, 'fifo')]);
  const { files, skipped } = await walkAll(root);
  assert.deepEqual(
    files.map((file) => [file.path, file.sizeBytes]),
    [
      ['a', 0],
      ['b/ü\n.txt', 6],
      ['c.txt', 3],
    ],
  );
  assert.deepEqual(await Promise.all(files.map(read)), ['', 'umlaut', 'see']);
  assert.deepEqual(skipped.sort(), [
    'b/folder: links are not followed',
    'd\ufffd: the name is not UTF-8',
    'fifo: not a regular file',
    'link: links are not followed',
  ]);
});

test('a file that is not as long as it was is an error, and one that became a link is not followed', async () => {
  using directory = createTemporaryDirectory();
  const file = path.join(directory.path, 'x');
  writeFileSync(file, '12345');
  const { files } = await walkAll(directory.path);
  appendFileSync(file, '6');
  await assert.rejects(read(files[0]), (error) => isSlipwayError(error, 'file-changed'));
  truncateSync(file, 4);
  await assert.rejects(read(files[0]), (error) => isSlipwayError(error, 'file-changed'));
  execFileSync('ln', ['-sf', '/etc/passwd', file]);
  await assert.rejects(read(files[0]), (error) => isSlipwayError(error, 'file-unreadable'));
});
