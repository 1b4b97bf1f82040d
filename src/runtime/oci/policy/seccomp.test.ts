import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { toSeccomp } from './seccomp.ts';

/** The names that libseccomp knows for x86-64; runtimes ignore any other name silently. */
const known = new Set(readFileSync(new URL('seccomp-names.txt', import.meta.url), 'utf8').split(/\s+/));

const profile = toSeccomp('x64');
const names = profile.syscalls.flatMap((rule) => rule.names);
const allowed = new Set(
  profile.syscalls.filter((r) => r.action === 'SCMP_ACT_ALLOW').flatMap((r) => r.names),
);

test('every name is one that the seccomp library knows', () => {
  assert.ok(known.size > 300);
  assert.deepEqual(
    names.filter((name) => !known.has(name)),
    [],
  );
});

test('no name is in the plain list twice', () => {
  const plain = profile.syscalls[0]?.names ?? [];
  assert.equal(new Set(plain).size, plain.length);
});

test('what leads out of sandboxes is absent', () => {
  const refused = `add_key request_key keyctl bpf perf_event_open userfaultfd io_uring_setup io_uring_enter
    io_uring_register ptrace process_vm_readv process_vm_writev process_madvise process_mrelease kcmp pidfd_getfd
    unshare setns mount umount2 mount_setattr move_mount open_tree fsopen fsconfig fsmount fspick chroot
    pivot_root open_by_handle_at name_to_handle_at init_module finit_module delete_module kexec_load
    kexec_file_load swapon swapoff quotactl quotactl_fd fanotify_init fanotify_mark mq_open vmsplice memfd_secret
    mbind set_mempolicy migrate_pages move_pages modify_ldt ioperm iopl io_setup settimeofday clock_settime adjtimex
    clock_adjtime sethostname setdomainname syslog acct reboot lookup_dcookie nfsservctl uselib vhangup`;
  for (const name of refused.trim().split(/\s+/)) {
    assert.ok(known.has(name), `${name} is misspelt here`);
    assert.ok(!allowed.has(name), `${name} is allowed`);
  }
});

test('only the native architecture is allowed', () => {
  assert.deepEqual(profile.architectures, ['SCMP_ARCH_X86_64']);
  assert.deepEqual(toSeccomp('arm64').architectures, ['SCMP_ARCH_AARCH64']);
});

test('calls with conditions are never allowed without them', () => {
  for (const name of [
    ...['clone', 'socket', 'socketpair', 'personality', 'mknod', 'mknodat'],
    ...['mmap', 'memfd_create', 'shmget', 'setsockopt'],
  ]) {
    const rules = profile.syscalls.filter((rule) => rule.names.includes(name));
    assert.ok(rules.length > 0);
    assert.ok(
      rules.every((rule) => rule.args !== undefined),
      name,
    );
  }
});

test('clone3 fails as if the kernel did not know it, so that libraries fall back to clone', () => {
  assert.deepEqual(
    profile.syscalls.filter((rule) => rule.names.includes('clone3')),
    [{ names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: 38 }],
  );
});

test('every option of sockets is allowed but those that attach a filter', () => {
  const rules = profile.syscalls.filter(
    (rule) => rule.names.includes('setsockopt') && rule.args?.length === 2,
  );
  const isAllowed = (option: number) =>
    rules.some(({ args }) => args?.[1] !== undefined && (option & args[1].value) >>> 0 === args[1].valueTwo);
  const options = Array.from({ length: 128 }, (_, option) => option);
  assert.deepEqual(
    options.filter((option) => !isAllowed(option)),
    [26, 50, 51, 52],
  );
});
