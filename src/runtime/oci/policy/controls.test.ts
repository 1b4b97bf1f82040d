import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSlipwayError } from '../../../base/errors.ts';
import { controlNames } from '../../../model/control.ts';
import { toCgroupLayout } from '../host/cgroups.ts';
import { parseMounts } from '../host/mountinfo.ts';
import { assertControls, type HostFacts, parseRuntimeVersion, toControls } from './controls.ts';

const v1 = toCgroupLayout(
  parseMounts(`1 0 0:1 / /c/memory rw - cgroup cgroup rw,memory
2 0 0:1 / /c/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
3 0 0:1 / /c/pids rw - cgroup cgroup rw,pids
4 0 0:1 / /c/systemd rw - cgroup cgroup rw,name=systemd
5 0 0:1 / /c/unified rw - cgroup2 cgroup2 rw
`),
  { root: '/c/unified', controllers: new Set(['hugetlb']) },
);

const facts: HostFacts = {
  cgroups: v1,
  runtimeName: 'runc',
  runtime: { version: '1.5.0', seccomp: true },
  userNamespaces: true,
  seccomp: true,
  idmappedMounts: true,
  swapLimit: true,
  hasSwap: false,
};

function stateOf(name: string, changes: Partial<HostFacts>, off: readonly 'memory-limit'[] = []) {
  return toControls({ ...facts, ...changes }, new Set(off)).find((control) => control.name === name)?.state;
}

const bare = { mode: 'none', hierarchies: [], v1: new Map(), v2: undefined } as const;

test('hybrid hierarchies are found by controller, named ones too', () => {
  assert.equal(v1.mode, 'hybrid');
  assert.equal(v1.v1.get('cpu'), '/c/cpu,cpuacct');
  assert.equal(v1.v1.get('cpuacct'), '/c/cpu,cpuacct');
  assert.equal(v1.hierarchies.length, 5);
});

test('a whole host has every control on', () => {
  const controls = toControls(facts, new Set());
  assert.deepEqual(
    controls.map((control) => control.name),
    [...controlNames],
  );
  assert.deepEqual(
    controls.filter((control) => control.state !== 'on'),
    [],
  );
  assert.doesNotThrow(() => assertControls(controls));
});

test('what is missing is refused by name, and says how to do without it', () => {
  const controls = toControls({ ...facts, cgroups: bare, swapLimit: false }, new Set());
  assert.throws(
    () => assertControls(controls),
    (error) => isSlipwayError(error, 'control-missing') && /SLIPWAY_WITHOUT=memory-limit/.test(error.message),
  );
});

test('switching off counts only for what is missing', () => {
  assert.equal(stateOf('memory-limit', { cgroups: bare }, ['memory-limit']), 'off');
  assert.equal(stateOf('memory-limit', {}, ['memory-limit']), 'on');
});

test('user namespaces cannot be switched off', () => {
  const controls = toControls({ ...facts, userNamespaces: false }, new Set(['user-namespace']));
  assert.throws(() => assertControls(controls), /cannot be switched off/);
});

test('without accounting of swap, swap itself decides', () => {
  assert.equal(stateOf('no-swap', { swapLimit: false, hasSwap: false }), 'on');
  assert.equal(stateOf('no-swap', { swapLimit: false, hasSwap: true }), 'missing');
});

test('a runtime built without seccomp is found out', () => {
  assert.equal(stateOf('seccomp', { runtime: { version: '1.5.0', seccomp: false } }), 'missing');
});

test("reads versions of runc, of Debian's runc and of crun", () => {
  const debian = 'runc version 1.1.5+ds1\ncommit: 1.1.5+ds1-1+deb12u1\nspec: 1.0.2-dev\nlibseccomp: 2.5.4\n';
  assert.deepEqual(parseRuntimeVersion(debian), { version: '1.1.5+ds1-1+deb12u1', seccomp: true });
  const upstream = 'runc version 1.3.6\ncommit: v1.3.6-0-gabcdef\nspec: 1.2.1\nlibseccomp: 2.6.0\n';
  assert.deepEqual(parseRuntimeVersion(upstream), { version: '1.3.6', seccomp: true });
  assert.equal(parseRuntimeVersion('runc version 1.3.6\nspec: 1.2.1\n').seccomp, false);
  const crun =
    'crun version 1.8.1\ncommit: f8a0\nrundir: /run\n+SYSTEMD +SELINUX +CAP +SECCOMP +EBPF +YAJL\n';
  assert.deepEqual(parseRuntimeVersion(crun), { version: '1.8.1', seccomp: true });
});
