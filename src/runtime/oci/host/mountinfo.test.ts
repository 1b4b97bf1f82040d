import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mountOf, parseMounts, readMounts } from './mountinfo.ts';

const table = `22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
50 27 0:40 / /mnt/a\\040b\\134c\\011d rw,nosuid master:3 propagate_from:2 - tmpfs tmpfs rw,size=4k
51 50 0:41 / /mnt/gr\xc3\xb6\xc3\x9fe ro - tmpfs none rw
a line of another form
`;

test('reads targets, options and types, whatever optional fields stand between', () => {
  const mounts = parseMounts(table);
  assert.equal(mounts.length, 5);
  assert.deepEqual(mounts[2], {
    target: '/sys/fs/cgroup/memory',
    options: ['rw', 'relatime'],
    type: 'cgroup',
    source: 'cgroup',
    superOptions: ['rw', 'memory'],
  });
});

test('undoes octal escapes and reads UTF-8', () => {
  const targets = parseMounts(table).map((mount) => mount.target);
  assert.ok(targets.includes('/mnt/a b\\c\td'));
  assert.ok(targets.includes('/mnt/größe'));
});

test('finds the mount that a path lies on by whole path parts', () => {
  const mounts = parseMounts(table);
  assert.equal(mountOf('/sys/fs/cgroup/memory/x', mounts)?.target, '/sys/fs/cgroup/memory');
  assert.equal(mountOf('/sys/fs/cgroup/memoryx', mounts)?.target, '/');
  assert.equal(mountOf('/proc', mounts)?.target, '/proc');
});

test('reads the table of this machine', () => {
  assert.ok(readMounts().some((mount) => mount.target === '/'));
});
