import assert from 'node:assert/strict';
import { test } from 'node:test';
import { controlNames } from '../../../model/control.ts';
import type { Image } from '../../../model/image.ts';
import { defaultLimits } from '../../../model/limits.ts';
import type { SandboxSpec } from '../../driver.ts';
import { type PreparedHost, toOciConfig } from './config.ts';

const image: Image = {
  digest: `sha256:${'a'.repeat(64)}`,
  names: [],
  architecture: 'amd64',
  sizeBytes: 1,
  user: { uid: 1000, gid: 1001, groups: [7], home: '/home/app' },
  env: { LANG: 'C.UTF-8' },
  workdir: '/proc/self/fd/7',
  entrypoint: ['/bin/app'],
  cmd: ['serve'],
  labels: {},
  runner: { protocol: 1, argv: ['/usr/bin/runner'], preload: [] },
  packages: [],
  notes: [],
  hasShell: true,
};

const spec: SandboxSpec = {
  id: 'one',
  image,
  use: { kind: 'command', argv: ['python3', '-V'], streams: 'separate' },
  env: { NAME: 'value' },
  limits: { ...defaultLimits, memoryBytes: 1e8, cpus: 0.5, pids: 9, tmpBytes: 123_456, workInodes: 77 },
};

const host: PreparedHost = {
  rootfs: '/run/x/views/v',
  ids: { base: 1_073_741_824, count: 65_536 },
  work: '/run/x/work',
  data: '/run/x/empty',
  devices: '/run/x/dev',
  cgroupPath: '/slipway/abcdefgh/sw-one',
  architecture: 'x64',
  controls: new Set(controlNames),
  swapLimit: true,
};

const config = toOciConfig(spec, host);

test('has a network namespace of its own, or the one with its outlet, and never another', () => {
  const networks = (config: { linux: { namespaces: readonly { type: string }[] } }) =>
    config.linux.namespaces.filter(({ type }) => type === 'network');
  assert.deepEqual(networks(config), [{ type: 'network' }]);
  const joined = toOciConfig(spec, { ...host, networkNamespace: '/proc/7/fd/9' });
  assert.deepEqual(networks(joined), [{ type: 'network', path: '/proc/7/fd/9' }]);
});

test('runs as the numeric user of the image, without any capability, privilege or terminal', () => {
  const { process } = config;
  assert.deepEqual(process.user, { uid: 1000, gid: 1001, additionalGids: [7], umask: 0o022 });
  assert.deepEqual(Object.keys(process.capabilities).sort(), [
    'ambient',
    'bounding',
    'effective',
    'inheritable',
    'permitted',
  ]);
  assert.ok(Object.values(process.capabilities).every((set) => set.length === 0));
  assert.equal(process.noNewPrivileges, true);
  assert.equal(process.terminal, false);
});

test('works in /work, whatever the image says', () => {
  assert.equal(config.process.cwd, '/work');
});

test('has namespaces of its own, joined to none', () => {
  const types = config.linux.namespaces.map((namespace) => namespace.type).sort();
  assert.deepEqual(types, ['cgroup', 'ipc', 'mount', 'network', 'pid', 'user', 'uts']);
  assert.ok(config.linux.namespaces.every((namespace) => Object.keys(namespace).length === 1));
});

test('maps its ids to its own range alone', () => {
  const mapping = [{ containerID: 0, hostID: host.ids.base, size: 65_536 }];
  assert.deepEqual(config.linux.uidMappings, mapping);
  assert.deepEqual(config.linux.gidMappings, mapping);
});

test('the root is read-only, and every mount forbids set-id programs', () => {
  assert.deepEqual(config.root, { path: host.rootfs, readonly: true });
  for (const mount of config.mounts) assert.ok(mount.options.includes('nosuid'), mount.destination);
});

test('only /dev has devices, and only /work, /tmp, /dev/shm and the home can be written', () => {
  for (const { destination, options } of config.mounts) {
    assert.equal(options.includes('nodev'), destination !== '/dev', destination);
  }
  const written = config.mounts.filter((mount) => mount.type !== 'proc' && !mount.options.includes('ro'));
  assert.deepEqual(written.map((mount) => mount.destination).sort(), [
    '/dev/shm',
    '/home/slipway',
    '/tmp',
    '/work',
  ]);
});

test('every tmpfs has a size and a number of inodes', () => {
  const inMemory = config.mounts.filter((mount) => mount.type === 'tmpfs');
  assert.equal(inMemory.length, 3);
  for (const { options, destination } of inMemory) {
    assert.ok(options.includes('size=123456'), destination);
    assert.ok(options.includes('nr_inodes=77'), destination);
  }
});

test('there is no sysfs and no cgroup file system inside', () => {
  assert.deepEqual(
    config.mounts.filter((mount) => /sys/.test(mount.type) || mount.type.startsWith('cgroup')),
    [],
  );
});

test('data are bound read-only and cannot be executed', () => {
  const data = config.mounts.find((mount) => mount.destination === '/data');
  assert.deepEqual(data?.options, ['rbind', 'ro', 'nosuid', 'nodev', 'noexec']);
  assert.equal(data?.source, host.data);
});

test('limits go to the cgroup of the sandbox', () => {
  assert.equal(config.linux.cgroupsPath, host.cgroupPath);
  assert.deepEqual(config.linux.resources, {
    devices: [{ allow: false, access: 'rwm' }],
    memory: { limit: 1e8, swap: 1e8 },
    cpu: { quota: 50_000, period: 100_000 },
    pids: { limit: 9 },
  });
});

test('a control that the host lacks is left out, and nothing else', () => {
  const without = new Set(controlNames.filter((name) => name !== 'memory-limit' && name !== 'seccomp'));
  const { linux } = toOciConfig(spec, { ...host, controls: without });
  assert.equal(linux.resources.memory, undefined);
  assert.equal(linux.seccomp, undefined);
  assert.deepEqual(linux.resources.pids, { limit: 9 });
});

test('a kernel that cannot limit swap is not asked to', () => {
  const { linux } = toOciConfig(spec, { ...host, swapLimit: false });
  assert.deepEqual(linux.resources.memory, { limit: 1e8 });
});

test('a processor share never becomes no limit', () => {
  const tiny = { ...spec, limits: { ...spec.limits, cpus: 0.01 } };
  assert.deepEqual(toOciConfig(tiny, host).linux.resources.cpu, { quota: 1000, period: 100_000 });
});

test('core dumps and message queues are off, open files are limited, the address space is not', () => {
  const limits = Object.fromEntries(config.process.rlimits.map(({ type, hard }) => [type, hard]));
  assert.equal(limits['RLIMIT_CORE'], 0);
  assert.equal(limits['RLIMIT_MSGQUEUE'], 0);
  assert.equal(limits['RLIMIT_NOFILE'], spec.limits.openFiles);
  assert.equal(limits['RLIMIT_AS'], undefined);
});

test('what tells about the host is hidden', () => {
  for (const name of [
    'keys',
    'kcore',
    'kallsyms',
    'timer_list',
    'sysrq-trigger',
    'cmdline',
    'acpi',
    'scsi',
  ]) {
    assert.ok(config.linux.maskedPaths.includes(`/proc/${name}`), name);
  }
  assert.ok(config.linux.readonlyPaths.includes('/proc/sys'));
});

test('the runner has a place for the files of a script', () => {
  const { mounts, process } = toOciConfig({ ...spec, use: { kind: 'runner' } }, host);
  assert.equal(mounts.find((mount) => mount.destination === '/code')?.type, 'tmpfs');
  assert.deepEqual(process.args, ['/usr/bin/runner']);
});

test('nothing of the environment of this process gets in', () => {
  process.env['SECRET_OF_THE_HOST'] = 'x';
  assert.deepEqual(toOciConfig(spec, host).process.env.toSorted(), [
    'HOME=/home/app',
    'LANG=C.UTF-8',
    'NAME=value',
    'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  ]);
});
