/**
 * The system calls that code in a sandbox may make; every other one fails with EPERM. It is a list of what is
 * allowed, by names in the runtime's configuration. Runtimes ignore a misspelt name silently, so a test checks
 * each one, and the hostile suite proves the rules from inside.
 *
 * Deliberately absent, because each has been a way out of sandboxes or a channel between them: keyctl,
 * add_key, request_key, bpf, perf_event_open, userfaultfd, io_uring_*, ptrace, process_vm_*, process_madvise,
 * kcmp, pidfd_getfd, unshare, setns, the mount API (old and new), chroot, pivot_root, open_by_handle_at,
 * name_to_handle_at, modules, kexec, swap, quota, fanotify, mq_*, vmsplice, memfd_secret, NUMA memory policy,
 * modify_ldt, filters of sockets, ioperm, iopl, io_setup (its contexts are numbered for the whole host), clocks that set, host and domain names, syslog, acct, reboot.
 */

export interface SeccompArg {
  readonly index: number;
  readonly value: number;
  readonly valueTwo?: number;
  readonly op: 'SCMP_CMP_EQ' | 'SCMP_CMP_MASKED_EQ';
}

export interface SeccompRule {
  readonly names: readonly string[];
  readonly action: 'SCMP_ACT_ALLOW' | 'SCMP_ACT_ERRNO';
  readonly errnoRet?: number;
  readonly args?: readonly SeccompArg[];
}

export interface SeccompProfile {
  readonly defaultAction: 'SCMP_ACT_ERRNO';
  readonly defaultErrnoRet: number;
  readonly architectures: readonly string[];
  readonly syscalls: readonly SeccompRule[];
}

const EPERM = 1;
const ENOSYS = 38;

/** Allowed with any arguments. Names that an architecture lacks are ignored there. */
const allowedNames = `
  accept accept4 access alarm arch_prctl bind brk cachestat capget capset chdir chmod chown clock_getres
  clock_gettime clock_nanosleep close close_range connect copy_file_range creat dup dup2 dup3 epoll_create
  epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 execve execveat exit exit_group
  faccessat faccessat2 fadvise64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync
  fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstatfs fsync ftruncate futex futex_requeue
  futex_wait futex_waitv futex_wake futimesat get_robust_list getcpu getcwd getdents getdents64 getegid geteuid
  getgid getgroups getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid
  getresuid getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid getxattr
  inotify_add_watch inotify_init inotify_init1 inotify_rm_watch
  ioctl ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset
  landlock_restrict_self lchown lgetxattr link linkat listen listxattr llistxattr lremovexattr lseek lsetxattr
  lstat madvise map_shadow_stack membarrier mincore mkdir mkdirat mlock mlock2 mlockall
  mprotect mremap msgctl msgget msgrcv msgsnd msync munlock munlockall munmap nanosleep newfstatat open openat
  openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll prctl
  pread64 preadv preadv2 prlimit64 pselect6 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv
  recvfrom recvmmsg recvmsg remap_file_pages removexattr rename renameat renameat2 restart_syscall rmdir rseq
  rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
  rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr
  sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam
  sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop sendfile sendmmsg sendmsg sendto
  set_robust_list set_tid_address setfsgid setfsuid setgid setgroups setitimer setpgid setpriority setregid
  setresgid setresuid setreuid setrlimit setsid setuid setxattr shmat shmctl shmdt shutdown
  sigaltstack signalfd signalfd4 splice stat statfs statx symlink symlinkat sync_file_range sysinfo
  tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create
  timerfd_gettime timerfd_settime times tkill truncate umask uname unlink unlinkat utime utimensat utimes vfork
  wait4 waitid write writev
`;

/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET: a thread or a process needs none. */
const namespaceFlags = 0x7e020000;

/**
 * Flags that take huge pages from the pool which an operator reserved: no limit of ours counts those. Of mmap,
 * memfd_create and shmget.
 */
const hugePageFlags = { MAP_HUGETLB: 0x40000, MFD_HUGETLB: 4, SHM_HUGETLB: 0o4000 };

const fileTypeMask = 0o170000;
/** Plain file (by two values), FIFO, socket: what needs no device. */
const nodeTypes = [0, 0o100000, 0o010000, 0o140000];

const AF_UNIX = 1;
const internetFamilies = [2, 10];
/** The default of the family, TCP, UDP: not MPTCP, SCTP or raw ones, which are little used and much attacked. */
const internetProtocols = [0, 6, 17];

/** Options of IP, TCP, UDP and IPv6: all. */
const protocolLevels = [0, 6, 17, 41];

const SOL_SOCKET = 1;

/**
 * Options of sockets, as blocks of `1 << size` numbers from a start: 0 to 127 without 26 (SO_ATTACH_FILTER) and 50
 * to 52 (its relatives). What the kernel compiles of such filters is taken from one store for the whole host, and
 * when one sandbox has used that up, no other can be started, because their own filters do not fit in.
 */
const socketOptionBlocks: readonly (readonly [start: number, size: number])[] = [
  [0, 4],
  [16, 3],
  [24, 1],
  [27, 0],
  [28, 2],
  [32, 4],
  [48, 1],
  [53, 0],
  [54, 1],
  [56, 3],
  [64, 6],
];

/** `personality` that changes nothing, and the one that only asks. */
const personalities = [0, 0xffffffff];

/** The native architecture alone: calls of another one (i386, x32) kill the process. */
const architectureNames: Readonly<Record<string, string>> = {
  x64: 'SCMP_ARCH_X86_64',
  arm64: 'SCMP_ARCH_AARCH64',
};

/** @param architecture as in `process.arch` */
export function toSeccomp(architecture: string): SeccompProfile {
  const native = architectureNames[architecture];
  return {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: EPERM,
    architectures: native === undefined ? [] : [native],
    syscalls: [
      { names: allowedNames.trim().split(/\s+/), action: 'SCMP_ACT_ALLOW' },
      // All that a program can write is gone with its sandbox; the host's disks need not be flushed for it.
      { names: ['sync', 'syncfs'], action: 'SCMP_ACT_ERRNO', errnoRet: 0 },
      allow('clone', [without(0, namespaceFlags)]),
      allow('mmap', [without(3, hugePageFlags.MAP_HUGETLB)]),
      allow('memfd_create', [without(1, hugePageFlags.MFD_HUGETLB)]),
      allow('shmget', [without(2, hugePageFlags.SHM_HUGETLB)]),
      // Its flags lie in memory, where no filter can see them; the C library falls back to clone.
      { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: ENOSYS },
      ...nodeTypes.flatMap((type) => [
        allow('mknod', [{ index: 1, value: fileTypeMask, valueTwo: type, op: 'SCMP_CMP_MASKED_EQ' }]),
        allow('mknodat', [{ index: 2, value: fileTypeMask, valueTwo: type, op: 'SCMP_CMP_MASKED_EQ' }]),
      ]),
      ...personalities.map((value) => allow('personality', [equals(0, value)])),
      ...protocolLevels.map((level) => allow('setsockopt', [block(1, level)])),
      ...socketOptionBlocks.map(([start, size]) =>
        allow('setsockopt', [block(1, SOL_SOCKET), block(2, start, size)]),
      ),
      allow('socketpair', [equals(0, AF_UNIX)]),
      allow('socket', [equals(0, AF_UNIX)]),
      ...internetFamilies.flatMap((family) =>
        internetProtocols.map((protocol) => allow('socket', [equals(0, family), equals(2, protocol)])),
      ),
    ],
  };
}

function allow(name: string, args: readonly SeccompArg[]): SeccompRule {
  return { names: [name], action: 'SCMP_ACT_ALLOW', args };
}

function equals(index: number, value: number): SeccompArg {
  return { index, value, op: 'SCMP_CMP_EQ' };
}

/** None of these bits. */
function without(index: number, bits: number): SeccompArg {
  return { index, value: bits, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' };
}

/** The `1 << size` values from `start`, of an argument that the kernel takes as an int: its upper half is nothing. */
function block(index: number, start: number, size = 0): SeccompArg {
  const mask = 2 ** 32 - 2 ** size;
  return { index, value: mask, valueTwo: start, op: 'SCMP_CMP_MASKED_EQ' };
}
