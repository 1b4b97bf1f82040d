/**
 * Which security controls this host has, for `slipway doctor` and for refusing what cannot be honoured. It
 * looks at the host and at the runtime's own words; that the controls hold inside a sandbox is proved by the
 * hostile suite.
 */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { SlipwayError } from '../../../base/errors.ts';
import { type Control, type ControlName, controlNames } from '../../../model/control.ts';
import { type CgroupLayout, hasController } from '../host/cgroups.ts';
import type { RuntimeCommand } from '../program/runtime-process.ts';
import { patchState } from './known-holes.ts';

export interface RuntimeFacts {
  readonly version: string;
  readonly seccomp: boolean;
}

export interface HostFacts {
  readonly cgroups: CgroupLayout;
  readonly runtimeName: string;
  /** Undefined where the runtime cannot be executed. */
  readonly runtime: RuntimeFacts | undefined;
  readonly userNamespaces: boolean;
  readonly seccomp: boolean;
  /** Undefined where it was not tried. */
  readonly idmappedMounts: boolean | undefined;
  readonly swapLimit: boolean;
  readonly hasSwap: boolean;
}

/** Controls without which a sandbox would be another thing; all others can be switched off by name. */
const indispensable: ReadonlySet<ControlName> = new Set(['user-namespace', 'id-range']);

interface Finding {
  readonly here: boolean;
  readonly detail: string;
}

/** Shorter than readiness waits for the whole probe. */
const versionDeadlineMs = 4000;

/** The runtime's version and features, or undefined if it cannot be executed. */
export async function readRuntime(runtime: RuntimeCommand): Promise<RuntimeFacts | undefined> {
  try {
    const options = { timeout: versionDeadlineMs, killSignal: 'SIGKILL' } as const;
    const { stdout } = await promisify(execFile)(runtime.path, ['--version'], options);
    return parseRuntimeVersion(stdout);
  } catch {
    return undefined;
  }
}

/** Debian's build tells the version of its package as the commit, which says which patches it has. */
export function parseRuntimeVersion(text: string): RuntimeFacts {
  const version = /version:? (\S+)/.exec(text)?.[1] ?? 'unknown';
  const commit = /^commit: (\S+)$/m.exec(text)?.[1];
  const isPackage = commit?.startsWith(`${version}-`) ?? false;
  const seccomp = /^libseccomp: \S/m.test(text) || /\+SECCOMP\b/.test(text) || !/^runc|^crun/.test(text);
  return { version: isPackage && commit !== undefined ? commit : version, seccomp };
}

export function readHostFacts(
  cgroups: CgroupLayout,
  rest: Pick<HostFacts, 'runtimeName' | 'runtime' | 'idmappedMounts'> & { readonly installCgroup: string },
): HostFacts {
  return {
    cgroups,
    runtimeName: rest.runtimeName,
    runtime: rest.runtime,
    idmappedMounts: rest.idmappedMounts,
    userNamespaces:
      existsSync('/proc/self/ns/user') && firstWord('/proc/sys/user/max_user_namespaces') !== '0',
    seccomp: existsSync('/proc/sys/kernel/seccomp/actions_avail'),
    swapLimit: canLimitSwap(cgroups, rest.installCgroup),
    hasSwap: lines('/proc/swaps').length > 1,
  };
}

function canLimitSwap(cgroups: CgroupLayout, installCgroup: string): boolean {
  const v1 = cgroups.v1.get('memory');
  if (v1 !== undefined) return existsSync(`${v1}/memory.memsw.limit_in_bytes`);
  return existsSync(`${cgroups.v2?.root}${installCgroup}/memory.swap.max`);
}

/** All controls, in the order of the model. `switchedOff` counts only for what is not there. */
export function toControls(facts: HostFacts, switchedOff: ReadonlySet<ControlName>): Control[] {
  const findings = toFindings(facts);
  return controlNames.map((name) => {
    const { here, detail } = findings[name];
    if (here) return { name, state: 'on', detail };
    const off = switchedOff.has(name) && !indispensable.has(name);
    return { name, state: off ? 'off' : 'missing', detail };
  });
}

function toFindings(facts: HostFacts): Record<ControlName, Finding> {
  const always = (detail: string): Finding => ({ here: true, detail });
  return {
    'user-namespace': {
      here: facts.userNamespaces,
      detail: 'user.max_user_namespaces above 0 gives each sandbox its own',
    },
    'id-range': always(idRangeDetail(facts.idmappedMounts)),
    'no-capabilities': always('all five sets are empty'),
    'no-new-privileges': always('set on the program'),
    seccomp: seccompFinding(facts),
    'read-only-root': always('the image is mounted read-only, without set-id programs and devices'),
    'masked-paths': always('parts of /proc are hidden or read-only; there is no /sys'),
    'minimal-devices': always('null, zero, full, random, urandom'),
    'no-network': always('an empty network namespace with loopback'),
    'memory-limit': controllerFinding(facts.cgroups, 'memory'),
    'no-swap': swapFinding(facts),
    'pids-limit': controllerFinding(facts.cgroups, 'pids'),
    'cpu-limit': controllerFinding(facts.cgroups, 'cpu'),
    'tmpfs-size': always('size of /tmp, /dev/shm and the home; their pages count as memory'),
    'tmpfs-inodes': always('nr_inodes of each tmpfs'),
    'work-quota': always(
      '/work is a tmpfs of fixed size that counts as memory, or above a threshold a disk image',
    ),
    'patched-runtime': patchFinding(facts),
  };
}

function idRangeDetail(idmappedMounts: boolean | undefined): string {
  const claim = '65536 ids of its own, claimed on the whole host';
  if (idmappedMounts === false)
    return `${claim}; without idmapped mounts each range needs a copy of the image`;
  return idmappedMounts === undefined ? claim : `${claim}; the image is mapped into them without a copy`;
}

function seccompFinding(facts: HostFacts): Finding {
  if (!facts.seccomp) return { here: false, detail: 'this kernel was built without seccomp filters' };
  const here = facts.runtime?.seccomp ?? true;
  return here
    ? { here, detail: 'a list of allowed system calls; all others fail' }
    : { here, detail: `${facts.runtimeName} was built without seccomp; install another build` };
}

function controllerFinding(cgroups: CgroupLayout, name: string): Finding {
  if (hasController(cgroups, name))
    return { here: true, detail: `cgroup ${cgroups.mode}, controller ${name}` };
  const why =
    cgroups.mode === 'none' ? 'no cgroup hierarchy is mounted' : `no hierarchy has the controller ${name}`;
  return { here: false, detail: `${why}; mount it at /sys/fs/cgroup or boot with it enabled` };
}

function swapFinding(facts: HostFacts): Finding {
  if (facts.swapLimit && hasController(facts.cgroups, 'memory'))
    return { here: true, detail: 'swap is limited to 0' };
  if (!facts.hasSwap) return { here: true, detail: 'the host has no swap' };
  return {
    here: false,
    detail: 'the kernel does not count swap; boot with swapaccount=1, or run swapoff -a',
  };
}

function patchFinding(facts: HostFacts): Finding {
  if (facts.runtime === undefined) return { here: false, detail: `${facts.runtimeName} cannot be executed` };
  const { patched, detail } = patchState(facts.runtimeName, facts.runtime.version);
  return { here: patched, detail };
}

/** @throws SlipwayError `control-missing` for the first control that is neither there nor switched off */
export function assertControls(controls: readonly Control[]): void {
  const missing = controls.find((control) => control.state === 'missing');
  if (missing === undefined) return;
  throw new SlipwayError('unsupported', 'control-missing', describeMissing(missing), {
    details: { control: missing.name },
  });
}

export function describeMissing(control: Control): string {
  const choice = indispensable.has(control.name)
    ? 'It cannot be switched off.'
    : `To run without it, name it in SLIPWAY_WITHOUT=${control.name}.`;
  return `This host lacks the security control ${control.name}: ${control.detail}. ${choice}`;
}

function firstWord(file: string): string {
  return lines(file)[0]?.trim() ?? '';
}

function lines(file: string): string[] {
  try {
    return readFileSync(file, 'latin1').trim().split('\n');
  } catch {
    return [];
  }
}
