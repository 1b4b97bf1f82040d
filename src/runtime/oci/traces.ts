/**
 * Every trace that a sandbox can leave on the host, found without asking the runtime, and their removal. The
 * driver's own destroy and the removal after a crash go through the same steps.
 */
import { existsSync, rmSync } from 'node:fs';
import { readdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { SlipwayError } from '../../base/errors.ts';
import {
  type CgroupLayout,
  cgroupDirs,
  killAll,
  removeCgroups,
  sendSignal,
  subdirectories,
} from './host/cgroups.ts';
import type { HostMounts } from './host/host-mounts.ts';
import { isWithin, readMounts } from './host/mountinfo.ts';
import { emptyIfAbsent, processStartTime } from './host/starters.ts';
import type { Places } from './places.ts';

export interface TraceHost {
  readonly places: Places;
  readonly mounts: HostMounts;
  readonly cgroups: CgroupLayout;
}

const deathDeadlineMs = 20_000;

/** Names that look like a sandbox's (`Places.parseName` decides), from every place where one leaves traces. */
export async function tracedNames(host: TraceHost): Promise<Set<string>> {
  const { places } = host;
  const names = new Set<string>();
  for (const directory of [places.runtimeRoot, places.sandboxesDir, places.stateDir]) {
    for (const name of await readdir(directory).catch(emptyIfAbsent)) names.add(name);
  }
  for (const name of await readdir(places.socketsDir).catch(emptyIfAbsent)) names.add(path.parse(name).name);
  for (const directory of cgroupDirs(host.cgroups, places.installCgroup)) {
    for (const child of subdirectories(directory)) names.add(path.basename(child));
  }
  const marked = [places.sandboxesDir, places.stateDir];
  for (const file of [...readMounts().map((mount) => mount.target), ...(await loopFiles())]) {
    for (const directory of marked) {
      if (isWithin(file, directory)) names.add(file.slice(directory.length + 1).split('/')[0] ?? '');
    }
  }
  return names;
}

/** The files behind the loop devices of this host. */
async function loopFiles(): Promise<string[]> {
  const devices = (await readdir('/sys/block').catch(emptyIfAbsent)).filter((name) =>
    name.startsWith('loop'),
  );
  const files = devices.map((name) =>
    readFile(`/sys/block/${name}/loop/backing_file`, 'utf8').catch(() => ''),
  );
  return (await Promise.all(files)).map((file) => file.trim().replace(/ \(deleted\)$/, ''));
}

/**
 * Removes all traces of a sandbox of which this process knows that its runtime has ended: kills what is in its
 * cgroups, then mounts, cgroups, directories. Idempotent.
 */
export async function removeTraces(host: TraceHost, name: string): Promise<void> {
  const { places, mounts } = host;
  const cgroups = cgroupDirs(host.cgroups, places.cgroupPath(name));
  await killAll(cgroups);
  await mounts.unmount(places.workDir(name));
  await removeCgroups(cgroups);
  rmSync(places.socketPath(name), { force: true });
  rmSync(path.join(places.runtimeRoot, name), { recursive: true, force: true });
  if (existsSync(places.diskDir(name))) await removeDisk(places.diskDir(name));
  rmSync(places.runDir(name), { recursive: true, force: true });
}

/** The kernel lets go of a disk image a moment after its last mount is gone, in the sandbox's namespace too. */
async function removeDisk(directory: string): Promise<void> {
  const deadline = performance.now() + deathDeadlineMs;
  const isHeld = async () => (await loopFiles()).some((file) => isWithin(file, directory));
  while ((await isHeld()) && performance.now() < deadline) await delay(2);
  await rm(directory, { recursive: true, force: true });
}

/**
 * Removes all traces of a sandbox of a dead process, about which nothing is known, and looks again afterwards.
 *
 * @throws SlipwayError `sandbox-remains`
 */
export async function removeUnknown(host: TraceHost, name: string): Promise<void> {
  await killOwnProcesses(host.places, name);
  await unmountBelow(host, [host.places.runDir(name), host.places.diskDir(name)]);
  await removeTraces(host, name);
  if (!(await tracedNames(host)).has(name)) return;
  throw new SlipwayError(
    'internal',
    'sandbox-remains',
    `Something of the sandbox ${name} could not be removed. Look for its name in /proc/self/mountinfo, /sys/fs/cgroup, ${host.places.runtimeDir} and ${host.places.stateDir}.`,
  );
}

/** Unmounts everything at or below these directories, the last mounted first. */
export async function unmountBelow(host: TraceHost, directories: readonly string[]): Promise<void> {
  for (const { target } of readMounts().reverse()) {
    if (directories.some((directory) => isWithin(target, directory))) await host.mounts.unmount(target);
  }
}

/**
 * Kills runtime and forwarder processes that a crashed starter left: they are root's, outside the sandbox's
 * cgroups, and carry the sandbox's name as a word or in the path of its socket.
 */
async function killOwnProcesses(places: Places, name: string): Promise<void> {
  const marks = [`\0${places.runtimeRoot}\0`, places.socketPath(name)];
  const found = new Map<number, string>();
  for (const entry of await readdir('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    const words = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (!words.includes(name) || !marks.some((mark) => words.includes(mark))) continue;
    const startTime = processStartTime(pid);
    if (startTime !== undefined && (await isRoots(pid))) found.set(pid, startTime);
  }
  for (const pid of found.keys()) sendSignal(pid, 'SIGKILL');
  await allGone(found);
}

/** A sandbox can give itself any command line, but never the host's root as its user. */
async function isRoots(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return /^Uid:\t0\t0\t0\t0$/m.test(status);
}

async function allGone(processes: ReadonlyMap<number, string>): Promise<void> {
  const deadline = performance.now() + deathDeadlineMs;
  for (const [pid, startTime] of processes) {
    while (processStartTime(pid) === startTime && performance.now() < deadline) await delay(2);
  }
}
