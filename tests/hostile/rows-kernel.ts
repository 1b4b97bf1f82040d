/** What programs/namespaces.py, kernel.py and sockets.py try, and what comes of it. */
import { no, type ProbeRow, rowsOf } from './probe-row.ts';

const ok = /OK/;

/** Works for root outside as it stands. */
const forbidden = [
  ...['mount_tmpfs', 'mount_proc', 'mount_sysfs', 'mount_mqueue', 'mount_overlay', 'mount_bind'],
  ...['remount_writable', 'umount_proc', 'fsopen_tmpfs', 'open_tree_clone', 'chroot', 'chroot_escape'],
  ...['unshare_user', 'unshare_mount', 'unshare_net', 'unshare_pid', 'unshare_ipc', 'unshare_uts'],
  ...['unshare_cgroup', 'unshare_time', 'user_namespace_maps'],
  ...['clone_user', 'clone_mount', 'clone_net', 'clone_pid', 'clone_ipc', 'clone_uts', 'clone_cgroup'],
  ...['clone3_user', 'setns_uts', 'setns_net', 'setns_of_pid_1'],
  ...['syslog', 'io_uring_setup', 'userfaultfd', 'bpf_map_create', 'perf_event_open', 'fanotify_init'],
  ...['add_key', 'keyctl_session', 'keyctl_get_keyring', 'adjtimex_set', 'clock_adjtime_set'],
  ...['sethostname', 'setdomainname', 'vhangup', 'open_by_handle_at'],
  ...['ptrace_attach', 'ptrace_seize', 'ptrace_traceme', 'process_vm_readv', 'process_vm_writev'],
  ...['pidfd_getfd', 'kcmp', 'personality_no_randomize', 'personality_read_implies_exec'],
  ...['attach_filter', 'attach_filter_by_upper_bits', 'attach_filter_to_group'],
  ...['family_netlink', 'family_netlink_dgram', 'raw_icmp', 'raw_icmp6', 'raw_ip'],
];

/** Tried with arguments that are always wrong, so that the control does no harm: the errno tells who may. */
const forbiddenWithWrongArguments = [
  ...['move_mount', 'fsconfig', 'fsmount', 'fspick', 'mount_setattr', 'pivot_root', 'reboot'],
  ...['swapon', 'swapoff', 'acct', 'io_uring_enter', 'io_uring_register', 'request_key'],
  ...['clock_settime', 'settimeofday', 'process_madvise', 'migrate_pages', 'move_pages', 'mbind'],
  'set_mempolicy',
];

/** A kernel may be built without them; it then says so outside. */
const forbiddenWhereTheKernelHasIt = [
  ...['kexec_load', 'kexec_file_load', 'init_module', 'finit_module', 'delete_module', 'quotactl'],
  ...['quotactl_fd', 'lookup_dcookie', 'nfsservctl', 'iopl', 'ioperm', 'modify_ldt'],
];

const families = [
  ...['ax25', 'ipx', 'appletalk', 'netrom', 'x25', 'key', 'packet', 'rds', 'llc', 'can', 'tipc'],
  ...['bluetooth', 'rxrpc', 'phonet', 'alg', 'nfc', 'vsock', 'kcm', 'qipcrtr', 'smc', 'xdp', 'mctp'],
].map((family) => `family_${family}`);

const allowed = [
  'ordinary_options',
  'threads_still_work',
  'seccomp_query',
  'memfd_create',
  'plain_tcp',
  'plain_unix',
];

export const kernelRows: readonly ProbeRow[] = [
  // fs.aio-max-nr is one number for the whole host: one sandbox could take all of it.
  { name: 'io_setup', inside: no, outside: ok },
  // It would let a sandbox flush all disks of the host again and again; inside it does nothing.
  { name: 'syncfs_without_descriptor', inside: ok, outside: /EBADF/ },
  ...rowsOf({ inside: no, outside: ok }, forbidden),
  ...rowsOf({ inside: no, outside: /EINVAL|EBADF|ENOENT|ENOKEY|EFAULT/ }, forbiddenWithWrongArguments),
  ...rowsOf({ inside: no, outside: /OK|E(?!PERM|ACCES).*/, mayBeAbsent: true }, forbiddenWhereTheKernelHasIt),
  ...rowsOf({ inside: no, outside: /OK|EAFNOSUPPORT|EPROTONOSUPPORT|ESOCKTNOSUPPORT|EINVAL/ }, families),
  ...rowsOf({ inside: ok, outside: ok }, allowed),
  { name: 'mount_cgroup2', inside: no, outside: /OK|EBUSY/ },
  { name: 'mount_cgroup_v1', inside: no, outside: /OK|EBUSY/ },
  // glibc falls back to clone(2), whose flags the filter can read.
  { name: 'clone3_plain', inside: /ENOSYS/, outside: ok },
  { name: 'x32_getpid', inside: /SIGSYS|ENOSYS/, outside: /OK|ENOSYS/, mayBeAbsent: true },
  { name: 'i386_getpid', inside: /SIGSYS/, outside: /OK|SIGSEGV/ },
  { name: 'i386_socket_vsock', inside: /SIGSYS/, outside: /OK|SIGSEGV|Address family.*/ },
  { name: 'unknown_system_call', inside: /ENOSYS/, outside: /ENOSYS/, mayBeAbsent: true },
  { name: 'all_system_calls_beyond_the_list', inside: /ENOSYS|EPERM,ENOSYS/, outside: /.*EINVAL.*|ENOSYS/ },
  ...rowsOf({ inside: /ENETUNREACH|EADDRNOTAVAIL/, outside: ok }, [
    ...['metadata_4', 'metadata_6', 'metadata_mapped', 'elsewhere', 'dns_packet'],
  ]),
  { name: 'dns_name', inside: /no-name/, outside: ok },
  { name: 'interfaces', inside: /lo/, outside: /lo/, mayBeAbsent: true },
  { name: 'routes', inside: /0|-1/, outside: /0|-1/, mayBeAbsent: true },
  { name: 'openpty', inside: /ENOENT|EACCES|EPERM/, outside: ok },
  { name: 'dev_tty', inside: /ENOENT/, outside: /ENXIO|OK/ },
  { name: 'tiocsti', inside: /ENOTTY|EPERM/, outside: /OK|EIO/ },
  { name: 'tioclinux', inside: /ENOTTY|EPERM/, outside: /ENOTTY|EINVAL|OK/, mayBeAbsent: true },
];
