/** What programs/files.py and identity.py try, and what comes of it. */
import { no, type ProbeRow, rowsOf } from './probe-row.ts';

const ok = /OK/;
const readOnly = /EROFS|EACCES|EPERM/;

const sysctls = [
  ...['core_pattern', 'randomize_va_space', 'pid_max', 'ns_last_pid', 'threads-max', 'domainname'].map(
    (name) => `write_kernel/${name}`,
  ),
  ...['overcommit_memory', 'drop_caches', 'max_map_count'].map((name) => `write_vm/${name}`),
  ...['file-max', 'suid_dumpable', 'protected_symlinks'].map((name) => `write_fs/${name}`),
];

const imageFiles = [
  ...['write_etc_passwd', 'write_by_proc_self_root', 'write_by_proc_1_root'],
  ...['unlink_image_file', 'chmod_image_file', 'chown_image_file', 'rename_image_file', 'touch_image_file'],
  ...['link_beside_image_file'],
];

/** They tell of the host or of other sandboxes, or open a way to the kernel. */
const masked = [
  ...['kcore', 'keys', 'key-users', 'timer_list', 'sched_debug', 'kmsg', 'latency_stats', 'timer_stats'],
  ...['acpi', 'scsi', 'asound', 'kpagecount', 'kpageflags', 'vmallocinfo', 'slabinfo', 'kallsyms'],
  ...['interrupts', 'irq', 'bus', 'fs/ext4', 'iomem', 'modules', 'config.gz'],
  ...['diskstats', 'partitions', 'swaps', 'cmdline', 'locks', 'pressure'],
].map((name) => `see_/proc/${name}`);

const maskedBelowSys = [
  ...['firmware', 'kernel/debug', 'kernel/tracing', 'kernel/security', 'fs/bpf', 'fs/cgroup', 'module'],
  ...['class/dmi', 'class/net', 'block', 'devices/virtual/dmi', 'devices/virtual/powercap', 'fs/ext4'],
  ...['kernel/notes', 'kernel/vmcoreinfo'],
].map((name) => `see_/sys/${name}`);

const deviceNodes = [
  ...['mem', 'kmsg', 'kvm', 'fuse', 'port', 'sda', 'vda', 'loop-control', 'net/tun', 'ptmx', 'console'],
  ...['hwrng', 'vhost-net', 'vhost-vsock', 'mapper/control', 'vsock', 'userfaultfd', 'nvram', 'rtc0'],
].map((name) => `open_/dev/${name}`);

export const fileRows: readonly ProbeRow[] = [
  { name: 'writable_mounts', inside: /\/dev\/shm,\/home\/[^,]+,\/tmp,\/work/, outside: /\/,.*/ },
  { name: 'writable_mounts_with_suid_or_devices', inside: /(?:)/, outside: /\/,.*/ },
  { name: 'file_systems', inside: /(?!.*(cgroup|debugfs|tracefs|bpf|securityfs)).*/, outside: /.*cgroup.*/ },
  { name: 'writable_below_proc_sys', inside: /0/, outside: /\d\d+ .*/ },
  { name: 'writable_below_sys', inside: /0/, outside: /\d\d+ .*/ },
  { name: 'writable_below_proc', inside: /0/, outside: /\d\d+ .*/ },
  ...rowsOf({ inside: readOnly, outside: ok }, sysctls),
  ...rowsOf({ inside: /EROFS|EACCES|EPERM|ENOENT/, outside: /OK|ENOENT/, mayBeAbsent: true }, [
    ...['write_kernel/modprobe', 'write_kernel/sysrq'],
  ]),
  {
    name: 'write_sysrq_trigger',
    inside: /EROFS|EACCES|ENOENT|null-device/,
    outside: /OK|ENOENT/,
    mayBeAbsent: true,
  },
  ...rowsOf(
    { inside: /absent|empty|denied/, outside: /readable|entries|absent|empty|denied/, mayBeAbsent: true },
    [...masked, ...maskedBelowSys],
  ),
  { name: 'see_/proc/version', inside: /readable/, outside: /readable/ },
  { name: 'devices', inside: /full,null,random,urandom,zero/, outside: /.*kmsg.*/ },
  { name: 'devices_elsewhere', inside: /(?:)/, outside: /\/mnt\/node/ },
  ...rowsOf({ inside: no, outside: ok }, ['mknod_mem', 'mknod_null', 'mknod_disk']),
  { name: 'mkfifo', inside: ok, outside: ok },
  ...rowsOf({ inside: /ENOENT/, outside: /OK|E[A-Z]+/, mayBeAbsent: true }, deviceNodes),
  { name: 'whiteout', inside: /OK|EPERM|EINVAL/, outside: /OK|EINVAL/ },
  ...rowsOf({ inside: readOnly, outside: ok }, imageFiles),
  ...rowsOf({ inside: /EROFS|EACCES|ETXTBSY/, outside: /ETXTBSY/, mayBeAbsent: true }, [
    ...['write_python', 'write_exe_of_self', 'write_exe_of_1'],
  ]),
  { name: 'write_shell', inside: readOnly, outside: /OK|ETXTBSY/ },
  { name: 'write_by_proc_1_cwd', inside: /EROFS|EACCES|ENOENT/, outside: /OK|ENOENT/ },
  { name: 'xattr_image_file', inside: /EROFS|EPERM/, outside: ok },
  { name: 'hard_link_of_image_file', inside: /EXDEV|EPERM|EROFS/, outside: ok },
  { name: 'set_capability_on_file', inside: no, outside: ok },
  { name: 'copy_with_setuid', inside: /nothing/, outside: /gained/ },
  { name: 'setuid_programs_of_the_image', inside: /nothing|none/, outside: /gained|none/ },
  { name: 'fallocate_beyond', inside: /ENOSPC/, outside: ok },
  { name: 'sparse_file', inside: /OK|EFBIG/, outside: ok },
  { name: 'odd_names', inside: /10/, outside: /10/ },
  { name: 'cgroup_files_found', inside: /0/, outside: /[1-9]\d*/ },
  { name: 'cgroup_path_shown', inside: /\/|(?:)/, outside: /\// },
];

/** None of a process's ids, capabilities, descriptors or limits is more than it should be. */
export const identityRows: readonly ProbeRow[] = [
  ...rowsOf({ inside: /0/, outside: /[0-9a-f]{6,}/ }, ['status_CapPrm', 'status_CapEff', 'status_CapBnd']),
  ...rowsOf({ inside: /0/, outside: /0/ }, ['status_CapInh', 'status_CapAmb']),
  { name: 'status_NoNewPrivs', inside: /1/, outside: /0/ },
  { name: 'status_Seccomp', inside: /2/, outside: /0/ },
  { name: 'ids', inside: /unprivileged/, outside: /root/ },
  ...rowsOf({ inside: /EPERM|EINVAL/, outside: ok }, [
    ...['setuid_0', 'setgid_0', 'setresuid_other', 'setgroups_0', 'chown_to_root', 'capset_all'],
    ...['securebits_set'],
  ]),
  { name: 'setfsuid_0', inside: /0/, outside: /1/ },
  { name: 'ambient_raise', inside: /EPERM|EINVAL/, outside: /EPERM|OK/ },
  { name: 'no_new_privs_off', inside: /EINVAL/, outside: /EINVAL/ },
  { name: 'descriptors', inside: /0,1,2/, outside: /0,1,2.*/ },
  { name: 'descriptor_kinds', inside: /pipe|pipe,socket/, outside: /.*/ },
  { name: 'processes', inside: /python3(\.\d+)?/, outside: /python3(\.\d+)?/ },
  { name: 'session', inside: /tty=0/, outside: /tty=-?\d+/ },
  { name: 'umask_and_cwd', inside: /22 \/work/, outside: /22 \/mnt/ },
  { name: 'signals_blocked_or_ignored', inside: /0 0/, outside: /\d+ \d+/ },
  { name: 'core_limit', inside: /\(0, 0\)/, outside: /\(\d+, -?\d+\)/ },
  ...rowsOf({ inside: /EPERM/, outside: ok }, ['raise_core', 'raise_nofile']),
  ...rowsOf({ inside: no, outside: ok }, ['nice_up', 'sched_fifo', 'sched_rr', 'ioprio_realtime']),
  { name: 'nice_down', inside: ok, outside: ok },
  { name: 'sched_deadline', inside: no, outside: /OK|EBUSY/ },
  // Root of a container or a small virtual machine may lack CAP_SYS_RESOURCE.
  { name: 'oom_score_lower', inside: no, outside: /OK|EACCES/ },
  { name: 'mlock_all', inside: /ENOMEM|EPERM/, outside: /OK|ENOMEM/ },
  { name: 'timer_slack_of_1', inside: /OK|EPERM|EACCES|ENOENT|EROFS/, outside: /OK|EPERM|ENOENT/ },
  { name: 'big_reservation', inside: ok, outside: ok },
  // Counted in no memory limit: where an operator reserved some, a sandbox could take them all.
  { name: 'huge_pages_by_mmap', inside: /EPERM/, outside: /OK|ENOMEM/ },
  { name: 'huge_pages_by_memfd', inside: /EPERM/, outside: /OK|ENOMEM|ENOENT|EINVAL/ },
  { name: 'huge_pages_by_shmget', inside: /EPERM/, outside: /OK|ENOMEM|ENOENT|EINVAL/ },
  { name: 'map_page_zero', inside: /EPERM|EACCES/, outside: /OK|EPERM|EACCES/ },
  { name: 'remap_of_nothing', inside: /EINVAL/, outside: /EINVAL/ },
  { name: 'executable_memory', inside: ok, outside: ok },
  { name: 'memory_of_processes_of_root', inside: /own/, outside: /own/ },
];
