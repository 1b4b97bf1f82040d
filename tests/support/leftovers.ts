/**
 * What an installation left behind on this host, found without asking it or the runtime: processes (by their
 * control group and by their uid), mounts, control groups of every hierarchy, directories, sockets, id claims.
 * A fault test calls it after a sweep, every other test after `destroy`.
 */
import assert from 'node:assert/strict';
import { lstat, readdir, readFile, readlink } from 'node:fs/promises';
import path from 'node:path';
import { systemCode } from '../../src/base/errors.ts';

/** A range of uids on the host; sandboxes of one installation have theirs from it. */
export interface UidRange {
  readonly first: number;
  readonly count: number;
}

export interface LeftoverScope {
  /** Part of every name that the installation gives. */
  readonly install: string;
  readonly runtimeDir: string;
  /** Where sandboxes keep what is too large for memory. */
  readonly stateDir?: string;
  /** Starters that are alive: what they keep between two sandboxes may stay, nothing else. */
  readonly living?: readonly string[];
  /** Only for an installation whose range no other shares. */
  readonly uids?: UidRange;
}

const claimsDir = '/run/slipway/ids';

/** Everything found, each in words; empty when nothing was left. */
export async function findLeftovers(scope: LeftoverScope): Promise<string[]> {
  const found = await Promise.all([
    findProcesses(scope),
    findMounts(scope),
    findCgroups(scope),
    findRuntimeFiles(scope),
    findStateFiles(scope),
    findClaims(scope),
    findAbstractSockets(scope.install),
    findLoopDevices(scope),
  ]);
  return found.flat();
}

/** Fails with the list of what is left. */
export async function assertNothingLeft(scope: LeftoverScope): Promise<void> {
  assert.deepEqual(await findLeftovers(scope), []);
}

/** What a living starter keeps below the runtime directory. */
function isKept(scope: LeftoverScope, at: string): boolean {
  const [folder = '', owner = ''] = path.relative(scope.runtimeDir, at).split('/');
  if (folder === 'empty') return scope.living !== undefined && scope.living.length > 0;
  return (
    ['views', 'dev', 'starters'].includes(folder) &&
    (scope.living ?? []).includes(owner.replace(/\.json$/, ''))
  );
}

/**
 * Processes that run in a control group or under a uid of ours, or are named after us. A dead one that waits for
 * this host's init to take note of it is init's.
 */
async function findProcesses(scope: LeftoverScope): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  const found = await Promise.all(pids.map((pid) => describeIfOurs(pid, scope)));
  return found.filter((text) => text !== undefined);
}

async function describeIfOurs(pid: string, scope: LeftoverScope): Promise<string | undefined> {
  const [cgroups, status, command] = await Promise.all(
    ['cgroup', 'status', 'cmdline'].map((name) => readIfThere(`/proc/${pid}/${name}`)),
  );
  const shown = (command ?? '').split('\0').join(' ').trim();
  const uid = Number(/^Uid:\s+\d+\s+(\d+)/m.exec(status ?? '')?.[1] ?? -1);
  const isInCgroup = (cgroups ?? '').includes(`-${scope.install}-`);
  const hasUid = scope.uids !== undefined && isWithin(uid, scope.uids);
  const isNamed = new RegExp(`sw-${scope.install}-`).test(shown);
  if ((!isInCgroup && !hasUid && !isNamed) || isDeadOrphan(status ?? '')) return undefined;
  return `process ${pid} of uid ${uid}: ${shown || nameOf(status)}`;
}

function isDeadOrphan(status: string): boolean {
  return /^State:\s+[ZX]/m.test(status) && /^PPid:\s+1$/m.test(status);
}

function nameOf(status: string | undefined): string {
  return /^Name:\s+(.*)$/m.exec(status ?? '')?.[1] ?? 'gone';
}

function isWithin(uid: number, range: UidRange): boolean {
  return uid >= range.first && uid < range.first + range.count;
}

/** Mounts in every mount namespace that somebody of this host lives in. */
async function findMounts(scope: LeftoverScope): Promise<string[]> {
  const points = new Set<string>();
  for (const pid of await onePidOfEachMountNamespace()) {
    const table = (await readIfThere(`/proc/${pid}/mountinfo`)) ?? '';
    for (const line of table.split('\n')) points.add(line.split(' ')[4] ?? '');
  }
  const isOurs = (at: string) => at.includes(`-${scope.install}-`) || at.startsWith(`${scope.runtimeDir}/`);
  return [...points].filter((at) => isOurs(at) && !isKept(scope, at)).map((at) => `mount ${at}`);
}

async function onePidOfEachMountNamespace(): Promise<Iterable<string>> {
  const found = new Map<string, string>();
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const namespace = await readlink(`/proc/${pid}/ns/mnt`).catch(() => undefined);
    if (namespace !== undefined) found.set(namespace, pid);
  }
  return found.values();
}

/** In every hierarchy, at any depth; the installation's own only once no starter lives. */
async function findCgroups(scope: LeftoverScope): Promise<string[]> {
  const found: string[] = [];
  const isIdle = (scope.living ?? []).length === 0;
  for await (const directory of directoriesBelow('/sys/fs/cgroup')) {
    const name = path.basename(directory);
    if (name.includes(`-${scope.install}-`) || (isIdle && name === scope.install)) {
      found.push(`control group ${directory}`);
    }
  }
  return found;
}

async function* directoriesBelow(directory: string): AsyncGenerator<string> {
  for (const entry of await listIfThere(directory)) {
    if (!entry.isDirectory()) continue;
    const below = path.join(directory, entry.name);
    yield below;
    yield* directoriesBelow(below);
  }
}

/** Files, directories and sockets below the runtime directory; its own folders may stay, empty. */
async function findRuntimeFiles(scope: LeftoverScope): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await listIfThere(scope.runtimeDir)) {
    const folder = path.join(scope.runtimeDir, entry.name);
    if (!entry.isDirectory()) found.push(`file ${folder}`);
    for (const below of await listIfThere(folder)) {
      const at = path.join(folder, below.name);
      if (!isKept(scope, at)) found.push(`${kindOf(below)} ${at}`);
    }
  }
  return found;
}

async function findStateFiles(scope: LeftoverScope): Promise<string[]> {
  if (scope.stateDir === undefined) return [];
  const directory = scope.stateDir;
  const entries = await listIfThere(directory);
  const ours = entries.filter(
    (entry) => entry.name.includes(`-${scope.install}-`) && !isCopyOfLiving(scope, entry.name),
  );
  return ours.map((entry) => `${kindOf(entry)} ${path.join(directory, entry.name)}`);
}

function isCopyOfLiving(scope: LeftoverScope, name: string): boolean {
  return (scope.living ?? []).some((starter) => name === `copies-${scope.install}-${starter}`);
}

/** Claims of id ranges by starters that are not alive: links `<boot>/<slot>` to `<install>/<starter>`. */
async function findClaims(scope: LeftoverScope): Promise<string[]> {
  const found: string[] = [];
  for (const boot of await listIfThere(claimsDir)) {
    for (const { name } of await listIfThere(path.join(claimsDir, boot.name))) {
      const target = await readlink(path.join(claimsDir, boot.name, name)).catch(() => '');
      const [install, starter = ''] = target.split('/');
      if (install === scope.install && !(scope.living ?? []).includes(starter))
        found.push(`id claim ${name}`);
    }
  }
  return found;
}

function kindOf(entry: { isDirectory(): boolean; isSocket(): boolean }): string {
  if (entry.isDirectory()) return 'directory';
  return entry.isSocket() ? 'socket' : 'file';
}

async function findAbstractSockets(install: string): Promise<string[]> {
  const table = (await readIfThere('/proc/net/unix')) ?? '';
  return table
    .split('\n')
    .filter((line) => line.includes(`-${install}-`))
    .map((line) => `socket ${line.split(' ').at(-1)}`);
}

/** Loop devices whose file lies in the runtime directory. */
async function findLoopDevices(scope: LeftoverScope): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await listIfThere('/sys/block')) {
    const backing = await readIfThere(`/sys/block/${entry.name}/loop/backing_file`);
    if (backing?.includes(scope.install) || backing?.startsWith(`${scope.runtimeDir}/`)) {
      found.push(`loop device ${entry.name} of ${backing.trim()}`);
    }
  }
  return found;
}

/** Whether a path exists, links not followed. */
export async function exists(at: string): Promise<boolean> {
  return lstat(at).then(
    () => true,
    () => false,
  );
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

async function listIfThere(directory: string) {
  try {
    return await readdir(directory, { withFileTypes: true });
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

/** Things end while we look at them. */
function isGone(error: unknown): boolean {
  return ['ENOENT', 'ESRCH', 'ENOTDIR', 'EINVAL', 'ENODEV', 'ENXIO'].includes(systemCode(error) ?? '');
}
