/**
 * The OCI runtime configuration of a sandbox: a pure function from what is asked (SandboxSpec) and what was
 * prepared for it on the host. It is the security-relevant part of the driver; hardening that is not in here
 * is in how its sources are mounted (../host/host-mounts.ts, ../prepare.ts). Source: the OCI runtime specification
 * 1.0.2, config-linux.md.
 */
import type { ControlName } from '../../../model/control.ts';
import type { Limits } from '../../../model/limits.ts';
import type { SandboxSpec } from '../../driver.ts';
import type { IdRange } from '../host/host-mounts.ts';
import { toCommandLine, toEnvironment } from './command-line.ts';
import { type SeccompProfile, toSeccomp } from './seccomp.ts';

/** What was prepared on the host for one sandbox. */
export interface PreparedHost {
  /** The image's tree, owned by the range. */
  readonly rootfs: string;
  readonly ids: IdRange;
  /** Sources of /work, /data and /dev. */
  readonly work: string;
  readonly data: string;
  readonly devices: string;
  readonly cgroupPath: string;
  /** As in `process.arch`. */
  readonly architecture: string;
  /** The controls that this host has; what is missing was switched off by the operator. */
  readonly controls: ReadonlySet<ControlName>;
  /** Whether the kernel can limit swap; without swap there is nothing to limit. */
  readonly swapLimit: boolean;
  /** A network namespace with loopback alone, made for this sandbox; without it the runtime makes one. */
  readonly networkNamespace?: string;
}

export interface OciMount {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}

export interface OciConfig {
  readonly ociVersion: string;
  readonly root: { readonly path: string; readonly readonly: boolean };
  readonly hostname: string;
  readonly process: OciProcess;
  readonly mounts: readonly OciMount[];
  readonly linux: OciLinux;
}

export interface OciProcess {
  readonly terminal: false;
  readonly user: { uid: number; gid: number; additionalGids: readonly number[]; umask: number };
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  readonly capabilities: Readonly<Record<string, readonly string[]>>;
  readonly rlimits: readonly { type: string; hard: number; soft: number }[];
  readonly noNewPrivileges: boolean;
  readonly oomScoreAdj: number;
}

export interface OciLinux {
  readonly namespaces: readonly { readonly type: string; readonly path?: string }[];
  readonly uidMappings: readonly OciIdMapping[];
  readonly gidMappings: readonly OciIdMapping[];
  readonly cgroupsPath: string;
  readonly resources: OciResources;
  readonly rootfsPropagation: string;
  readonly maskedPaths: readonly string[];
  readonly readonlyPaths: readonly string[];
  readonly seccomp?: SeccompProfile;
}

export interface OciIdMapping {
  readonly containerID: number;
  readonly hostID: number;
  readonly size: number;
}

export interface OciResources {
  readonly devices: readonly { readonly allow: boolean; readonly access: string }[];
  readonly memory?: { readonly limit: number; readonly swap?: number };
  readonly cpu?: { readonly quota: number; readonly period: number };
  readonly pids?: { readonly limit: number };
}

/** Kernel interfaces that tell about the host or other tenants, or steer it. */
const maskedPaths = [
  'acpi',
  'asound',
  'bus',
  'cmdline',
  'config.gz',
  'diskstats',
  'driver',
  'fs',
  'interrupts',
  'iomem',
  'ioports',
  'irq',
  'kallsyms',
  'kcore',
  'key-users',
  'keys',
  'kmsg',
  'latency_stats',
  'locks',
  'modules',
  'partitions',
  'pressure',
  'sched_debug',
  'scsi',
  'slabinfo',
  'softirqs',
  'swaps',
  'sysrq-trigger',
  'timer_list',
  'timer_stats',
  'tty',
  'vmallocinfo',
  'zoneinfo',
].map((name) => `/proc/${name}`);

const readonlyPaths = ['/proc/sys'];

/** Where our images keep their home; other homes stay what the image has, read-only. */
export const writableHome = '/home/slipway';

const cpuPeriodUs = 100_000;
const minCpuQuotaUs = 1000;
/** The kernel's out-of-memory killer takes sandboxes before anything of the host. */
const oomScoreAdj = 500;

export function toOciConfig(spec: SandboxSpec, host: PreparedHost): OciConfig {
  return {
    ociVersion: '1.0.2',
    root: { path: host.rootfs, readonly: true },
    hostname: 'sandbox',
    process: toProcess(spec),
    mounts: toMounts(spec, host),
    linux: toLinux(spec, host),
  };
}

function toProcess(spec: SandboxSpec): OciProcess {
  const { user } = spec.image;
  const none: readonly string[] = [];
  return {
    terminal: false,
    user: { uid: user.uid, gid: user.gid, additionalGids: user.groups ?? [], umask: 0o022 },
    args: toCommandLine(spec),
    env: toEnvironment(spec),
    cwd: '/work',
    capabilities: { bounding: none, effective: none, inheritable: none, permitted: none, ambient: none },
    rlimits: toResourceLimits(spec.limits),
    noNewPrivileges: true,
    oomScoreAdj,
  };
}

/** No limit of the address space: just-in-time compilers reserve more than they touch. */
function toResourceLimits(limits: Limits): OciProcess['rlimits'] {
  const values: Readonly<Record<string, number>> = {
    RLIMIT_NOFILE: limits.openFiles,
    RLIMIT_CORE: 0,
    RLIMIT_MSGQUEUE: 0,
    RLIMIT_MEMLOCK: 64 * 1024,
    RLIMIT_SIGPENDING: 4096,
  };
  return Object.entries(values).map(([type, value]) => ({ type, hard: value, soft: value }));
}

function toMounts(spec: SandboxSpec, host: PreparedHost): OciMount[] {
  const { user } = spec.image;
  const inMemory = (destination: string, ...options: readonly string[]): OciMount => ({
    destination,
    type: 'tmpfs',
    source: 'tmpfs',
    options: [
      'nosuid',
      'nodev',
      `size=${spec.limits.tmpBytes}`,
      `nr_inodes=${spec.limits.workInodes}`,
      `uid=${user.uid}`,
      `gid=${user.gid}`,
      ...options,
    ],
  });
  return [
    { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'nodev', 'noexec'] },
    bind('/dev', host.devices, ['ro', 'nosuid', 'noexec']),
    inMemory('/dev/shm', 'noexec', 'mode=1777'),
    inMemory('/tmp', 'mode=1777'),
    inMemory(writableHome, 'mode=0700'),
    // The files of a script arrive over the runner's channel.
    ...(spec.use.kind === 'runner' ? [inMemory('/code', 'mode=0700')] : []),
    bind('/work', host.work, ['nosuid', 'nodev']),
    bind('/data', host.data, ['ro', 'nosuid', 'nodev', 'noexec', ...(spec.lateInputs ? ['rslave'] : [])]),
  ];
}

/**
 * In a user namespace a bind mount must repeat the flags that its source has (the kernel locks them), so the
 * sources are mounted with no flag that is not given here.
 */
function bind(destination: string, source: string, options: readonly string[]): OciMount {
  return { destination, type: 'bind', source, options: ['rbind', ...options] };
}

function toLinux(spec: SandboxSpec, host: PreparedHost): OciLinux {
  const mapping = [{ containerID: 0, hostID: host.ids.base, size: host.ids.count }];
  const { networkNamespace: made } = host;
  const namespaces = ['user', 'pid', 'mount', 'ipc', 'uts', 'cgroup'].map((type) => ({ type }));
  return {
    namespaces: [...namespaces, { type: 'network', ...(made !== undefined && { path: made }) }],
    uidMappings: mapping,
    gidMappings: mapping,
    cgroupsPath: host.cgroupPath,
    resources: toResources(spec.limits, host),
    // What is mounted on the source of /data later must get in; no other source is shared.
    rootfsPropagation: spec.lateInputs ? 'rslave' : 'rprivate',
    maskedPaths,
    readonlyPaths,
    ...(host.controls.has('seccomp') ? { seccomp: toSeccomp(host.architecture) } : {}),
  };
}

function toResources(limits: Limits, host: PreparedHost): OciResources {
  const { controls } = host;
  const swap = host.swapLimit ? { swap: limits.memoryBytes } : {};
  const quota = Math.max(minCpuQuotaUs, Math.round(limits.cpus * cpuPeriodUs));
  return {
    devices: [{ allow: false, access: 'rwm' }],
    ...(controls.has('memory-limit') ? { memory: { limit: limits.memoryBytes, ...swap } } : {}),
    ...(controls.has('cpu-limit') ? { cpu: { quota, period: cpuPeriodUs } } : {}),
    ...(controls.has('pids-limit') ? { pids: { limit: limits.pids } } : {}),
  };
}
