/**
 * The cgroup hierarchies of this host (v1, hybrid or v2), and what the driver does in them without the
 * runtime: find, kill, remove. Figures are read in `../usage.ts`.
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { SlipwayError, systemCode } from '../../../base/errors.ts';
import { type Mount, readMounts } from './mountinfo.ts';

export type CgroupMode = 'v1' | 'hybrid' | 'v2' | 'none';

export interface CgroupLayout {
  readonly mode: CgroupMode;
  /** The mount points of all hierarchies, named ones too. */
  readonly hierarchies: readonly string[];
  /** The hierarchy of each v1 controller. */
  readonly v1: ReadonlyMap<string, string>;
  /** The unified hierarchy, and the controllers that it offers. */
  readonly v2: { readonly root: string; readonly controllers: ReadonlySet<string> } | undefined;
}

const v1Controllers = ['memory', 'pids', 'cpu', 'cpuacct', 'blkio', 'freezer', 'devices', 'cpuset'];
const killDeadlineMs = 20_000;

/** What this host mounts; later mounts of a controller at other places are ignored for it. */
export function readCgroupLayout(): CgroupLayout {
  const mounts = readMounts();
  const unified = mounts.find((mount) => mount.type === 'cgroup2');
  const v2 =
    unified === undefined
      ? undefined
      : { root: unified.target, controllers: new Set(words(`${unified.target}/cgroup.controllers`)) };
  return toCgroupLayout(mounts, v2);
}

export function toCgroupLayout(mounts: readonly Mount[], v2: CgroupLayout['v2']): CgroupLayout {
  const v1 = new Map<string, string>();
  const hierarchies = new Set<string>();
  for (const mount of mounts) {
    if (mount.type !== 'cgroup' && mount.type !== 'cgroup2') continue;
    hierarchies.add(mount.target);
    if (mount.type === 'cgroup2') continue;
    for (const name of v1Controllers) {
      if (mount.superOptions.includes(name) && !v1.has(name)) v1.set(name, mount.target);
    }
  }
  return { mode: modeOf(v1.size > 0, v2 !== undefined), hierarchies: [...hierarchies], v1, v2 };
}

function modeOf(v1: boolean, v2: boolean): CgroupMode {
  if (v1) return v2 ? 'hybrid' : 'v1';
  return v2 ? 'v2' : 'none';
}

/** Whether sandboxes can have this controller, in either version. */
export function hasController(layout: CgroupLayout, name: string): boolean {
  return layout.v1.has(name) || (layout.v2?.controllers.has(name) ?? false);
}

/** The directories of one cgroup path (`/slipway/<install>/<name>`) in all hierarchies, there or not. */
export function cgroupDirs(layout: CgroupLayout, cgroupPath: string): string[] {
  return layout.hierarchies.map((root) => root + cgroupPath);
}

/**
 * Makes the cgroup that all sandboxes of an install lie in, with the controllers of v2 handed down to it, so
 * that it shows which files they will have.
 */
export function prepareCgroup(layout: CgroupLayout, cgroupPath: string): void {
  for (const directory of cgroupDirs(layout, cgroupPath)) mkdirSync(directory, { recursive: true });
  if (layout.v2 === undefined) return;
  const parents = cgroupPath.split('/').map((_, i, parts) => parts.slice(0, i + 1).join('/'));
  for (const parent of parents) {
    for (const name of layout.v2.controllers) handDown(`${layout.v2.root}${parent}`, name);
  }
}

/** A controller that cannot be handed down is reported as missing by who looks for its files. */
function handDown(directory: string, controller: string): void {
  try {
    writeFileSync(`${directory}/cgroup.subtree_control`, `+${controller}`);
  } catch {
    // Seen by the missing files.
  }
}

/**
 * Limits the socket buffers of a cgroup that the runtime will join. On v2 they count as memory; on v1 they have a
 * limit of their own, which counts nothing until it is set, and which runc ignores.
 */
export function limitSocketBuffers(layout: CgroupLayout, cgroupPath: string, bytes: number): void {
  const root = layout.v1.get('memory');
  if (root === undefined) return;
  const file = `${root}${cgroupPath}/memory.kmem.tcp.limit_in_bytes`;
  mkdirSync(`${root}${cgroupPath}`, { recursive: true });
  if (existsSync(file)) writeFileSync(file, String(bytes)); // a kernel without TCP has none
}

/** Removes a cgroup that nothing uses any more. */
export function removeIfEmpty(layout: CgroupLayout, cgroupPath: string): void {
  for (const directory of cgroupDirs(layout, cgroupPath)) {
    try {
      rmdirSync(directory);
    } catch {
      // In use, or gone.
    }
  }
}

/** Process ids of everything below these directories. */
export function processesIn(directories: readonly string[]): Set<number> {
  const found = new Set<number>();
  for (const directory of directories) {
    for (const each of withDescendants(directory)) {
      for (const pid of words(`${each}/cgroup.procs`)) if (pid !== '0') found.add(Number(pid));
    }
  }
  return found;
}

/**
 * Kills everything in these cgroups again and again until they are empty. Members of a hierarchy cannot leave
 * it, and whoever is pid 1 of the sandbox takes its whole pid namespace along.
 *
 * @throws SlipwayError `cannot-kill` after 20 s
 */
export async function killAll(directories: readonly string[]): Promise<void> {
  const deadline = performance.now() + killDeadlineMs;
  for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, 50)) {
    const alive = processesIn(directories);
    if (alive.size === 0) return;
    if (performance.now() > deadline) throw cannotKill(alive);
    for (const pid of alive) sendSignal(pid, 'SIGKILL');
    await delay(pauseMs);
  }
}

/** Sends a signal; a process that is gone already is no error. */
export function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (systemCode(error) !== 'ESRCH') throw error;
  }
}

/** Removes these cgroups with all below them; waits while the kernel still holds them busy. */
export async function removeCgroups(directories: readonly string[]): Promise<void> {
  const deadline = performance.now() + killDeadlineMs;
  for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, 50)) {
    const busy = directories.filter((directory) => !tryRemove(directory));
    if (busy.length === 0) return;
    if (performance.now() > deadline) throw cannotRemove(busy);
    await delay(pauseMs);
  }
}

function tryRemove(directory: string): boolean {
  try {
    rmdirSync(directory);
    return true;
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOENT') return true;
    if (code !== 'EBUSY' && code !== 'ENOTEMPTY') throw error;
  }
  const children = subdirectories(directory);
  return children.length > 0 && children.every(tryRemove) && tryRemove(directory);
}

function* withDescendants(directory: string): Generator<string> {
  yield directory;
  for (const child of subdirectories(directory)) yield* withDescendants(child);
}

/** Cgroup directories hold hundreds of plain files: the link count says whether there are directories at all. */
export function subdirectories(directory: string): string[] {
  try {
    if (statSync(directory).nlink <= 2) return [];
    const entries = readdirSync(directory, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map((entry) => `${directory}/${entry.name}`);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return [];
    throw error;
  }
}

function words(file: string): string[] {
  try {
    return readFileSync(file, 'latin1').split(/\s+/).filter(Boolean);
  } catch (error) {
    // ENODEV: removed while open. EOPNOTSUPP: a threaded v2 cgroup.
    if (['ENOENT', 'ENODEV', 'EOPNOTSUPP'].includes(systemCode(error) ?? '')) return [];
    throw error;
  }
}

function cannotKill(pids: ReadonlySet<number>): SlipwayError {
  return new SlipwayError(
    'internal',
    'cannot-kill',
    `Processes ${[...pids].slice(0, 10).join(', ')} of a sandbox did not die of SIGKILL within 20 s: they are stuck in the kernel. Look at /proc/<pid>/stack.`,
  );
}

function cannotRemove(directories: readonly string[]): SlipwayError {
  return new SlipwayError(
    'internal',
    'cannot-remove-cgroup',
    `The cgroup ${directories[0]} could not be removed within 20 s. Look at its cgroup.procs.`,
  );
}
