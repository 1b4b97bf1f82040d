import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { isSlipwayError } from '../../../base/errors.ts';
import { HostMounts } from './host-mounts.ts';
import { readMounts } from './mountinfo.ts';

const tag = `slipway-test-${process.pid}`;
const mounts = new HostMounts(tag);
let root = '';

before(() => {
  assert.equal(process.getuid?.(), 0, 'mounting needs root: sudo npm test');
  root = mkdtempSync(path.join(tmpdir(), 'slipway mounts\t')); // names with blanks must not confuse the protocol
});

after(async () => {
  await mounts[Symbol.asyncDispose]();
  rmSync(root, { recursive: true });
});

function directory(name: string): string {
  const made = path.join(root, name);
  mkdirSync(made);
  return made;
}

function optionsOf(target: string): readonly string[] | undefined {
  return readMounts().find((mount) => mount.target === target)?.options;
}

function helperPids(): number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.map(Number).filter((pid) => pid !== process.pid && commandLine(pid).includes(tag));
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1');
  } catch {
    return '';
  }
}

test('a tmpfs has the size, the inodes and the owner that were asked for', async () => {
  const target = directory('tmpfs');
  await mounts.tmpfs(target, { sizeBytes: 65_536, inodes: 3, uid: 0x40000001, gid: 7, mode: '0700' });
  const { uid, gid, mode } = statSync(target);
  assert.deepEqual([uid, gid, mode & 0o7777], [0x40000001, 7, 0o700]);
  writeFileSync(path.join(target, 'a'), '');
  writeFileSync(path.join(target, 'b'), '');
  assert.throws(() => writeFileSync(path.join(target, 'c'), ''), /ENOSPC/);
  assert.throws(() => writeFileSync(path.join(target, 'a'), Buffer.alloc(70_000)), /ENOSPC/);
  await mounts.unmount(target);
  assert.equal(optionsOf(target), undefined);
});

test('an idmapped mount shows the same files to another range, read-only', async () => {
  const [source, target] = [directory('source'), directory('view')];
  writeFileSync(path.join(source, 'file'), 'content');
  chownSync(path.join(source, 'file'), 1000, 1001);
  await mounts.idmapped(source, target, { base: 0x50000000, count: 65_536 });
  const { uid, gid } = statSync(path.join(target, 'file'));
  assert.deepEqual([uid, gid], [0x50000000 + 1000, 0x50000000 + 1001]);
  assert.throws(() => writeFileSync(path.join(target, 'file'), ''), /EROFS/);
  for (const option of ['ro', 'nosuid', 'nodev']) assert.ok(optionsOf(target)?.includes(option), option);
  await mounts.unmount(target);
});

test('devices work on the device tmpfs alone', async () => {
  const target = directory('dev');
  await mounts.deviceTmpfs(target);
  await mounts.device(path.join(target, 'zero'), 1, 5);
  const zeros = execFileSync('head', ['-c', '3', path.join(target, 'zero')]);
  assert.deepEqual([...zeros], [0, 0, 0]);
  await mounts.unmount(target);
});

test('a bind mount has its flags from the first moment that it is given back', async () => {
  const [source, target] = [directory('bound'), directory('at')];
  await mounts.bind(source, target, ['ro', 'nosuid', 'nodev', 'noexec']);
  for (const option of ['ro', 'nosuid', 'nodev', 'noexec'])
    assert.ok(optionsOf(target)?.includes(option), option);
  await mounts.unmount(target);
});

test('owners are shifted without following links', async () => {
  const tree = directory('tree');
  execFileSync('ln', ['-s', root, path.join(tree, 'link')]);
  await mounts.shiftOwners(tree, { base: 5000, count: 65_536 });
  assert.equal(statSync(tree).uid, 5000);
  assert.equal(statSync(root).uid, 0);
});

test('unmounting what is not mounted does nothing', async () => {
  await mounts.unmount(directory('plain'));
  await mounts.unmount(path.join(root, 'absent'));
});

test('a refusal names the call and the reason, and the next request is answered', async () => {
  const failed = mounts.idmapped(path.join(root, 'absent'), root, { base: 1, count: 1 });
  await assert.rejects(
    failed,
    (error) => isSlipwayError(error, 'mount-failed') && /open_tree.*No such file/.test(error.message),
  );
  await mounts.unmount(root);
});

test('many requests at once are answered each for itself', async () => {
  const targets = Array.from({ length: 20 }, (_, i) => directory(`many${i}`));
  const options = { sizeBytes: 4096, inodes: 2, uid: 0, gid: 0, mode: '0700' };
  const results = await Promise.allSettled(
    targets.flatMap((target) => [mounts.tmpfs(target, options), mounts.tmpfs(`${target}/absent`, options)]),
  );
  assert.deepEqual(
    results.map((result) => result.status),
    targets.flatMap(() => ['fulfilled', 'rejected']),
  );
  await Promise.all(targets.map((target) => mounts.unmount(target)));
  assert.deepEqual(
    targets.filter((target) => optionsOf(target) !== undefined),
    [],
  );
});

test('a helper that died is reported and started again', async () => {
  const [pid] = helperPids();
  assert.ok(pid !== undefined);
  process.kill(pid, 'SIGSTOP');
  const request = mounts.unmount(root);
  process.kill(pid, 'SIGKILL');
  await assert.rejects(request, (error) => isSlipwayError(error, 'mount-failed'));
  await mounts.unmount(root);
  assert.notDeepEqual(helperPids(), [pid]);
});
