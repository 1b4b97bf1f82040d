/**
 * Every trace that a sandbox can leave on the host, found without asking the runtime, and their removal. The
 * driver's own destroy and the removal after a crash go through the same steps.
 */
import { existsSync } from 'node:fs';
import { readdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { messageOf, SlipwayError } from '../../../base/errors.ts';
import type { SandboxRef } from '../../driver.ts';
import type { Places } from '../places.ts';
import { deleteByRuntime, type RuntimeCommand } from '../program/runtime-process.ts';
import { type CgroupLayout, cgroupDirs, killAll, removeCgroups, subdirectories } from './cgroups.ts';
import type { HostMounts } from './host-mounts.ts';
import { isWithin, readMounts } from './mountinfo.ts';
import { killOrphans } from './orphans.ts';
import { emptyIfAbsent } from './starters.ts';

export interface TraceHost {
  readonly places: Places;
  readonly mounts: HostMounts;
  readonly cgroups: CgroupLayout;
  readonly runtime: RuntimeCommand;
}

const releaseDeadlineMs = 2000;
const removalDeadlineMs = 20_000;

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
  await deleteByRuntime(host.runtime, places.runtimeRoot, name);
  await mounts.unmount(places.workDir(name));
  if (existsSync(places.latePlace(name))) await unmountBelow(host, [places.latePlace(name)]);
  await removeCgroups(cgroups);
  // The kernel makes these wait for others that look at the same mounts; nobody else here should.
  await Promise.all([
    rm(places.socketPath(name), { force: true }),
    rm(places.outletPath(name), { force: true }),
    rm(path.join(places.runtimeRoot, name), { recursive: true, force: true }),
  ]);
  if (existsSync(places.diskDir(name))) await removeDisk(places.diskDir(name));
  await rm(places.runDir(name), { recursive: true, force: true });
}

/**
 * The kernel lets go of a disk image a moment after its last mount is gone, in the sandbox's namespace too.
 *
 * @throws SlipwayError `disk-in-use`
 */
async function removeDisk(directory: string): Promise<void> {
  const deadline = performance.now() + releaseDeadlineMs;
  while ((await loopFiles()).some((file) => isWithin(file, directory))) {
    if (performance.now() > deadline) throw diskInUse(directory);
    await delay(2);
  }
  await rm(directory, { recursive: true, force: true });
}

/**
 * Removes all traces of a sandbox of a dead process, about which nothing is known, and looks again afterwards.
 *
 * @throws SlipwayError `sandbox-remains`
 */
export async function removeUnknown(host: TraceHost, ref: SandboxRef): Promise<void> {
  const deadline = performance.now() + removalDeadlineMs;
  for (;;) {
    const problem = await tryRemove(host, ref).catch(messageOf);
    if (problem === undefined) return;
    if (performance.now() > deadline) throw sandboxRemains(host.places, ref.name, problem);
    await delay(10);
  }
}

/** What a dying process still did between two steps is found in the next round. @returns why it is not gone */
async function tryRemove(host: TraceHost, ref: SandboxRef): Promise<string | undefined> {
  const { places } = host;
  await killOrphans(places, ref);
  await unmountBelow(host, [places.runDir(ref.name), places.diskDir(ref.name)]);
  await removeTraces(host, ref.name);
  return (await tracedNames(host)).has(ref.name) ? 'something of it is still there' : undefined;
}

/** Unmounts everything at or below these directories, the last mounted first. */
export async function unmountBelow(host: TraceHost, directories: readonly string[]): Promise<void> {
  for (const { target } of readMounts().reverse()) {
    if (directories.some((directory) => isWithin(target, directory))) await host.mounts.unmount(target);
  }
}

function diskInUse(directory: string): SlipwayError {
  return new SlipwayError(
    'internal',
    'disk-in-use',
    `The disk image in ${directory} is still mounted somewhere. Look for it in the mounts of other processes.`,
  );
}

function sandboxRemains(places: Places, name: string, problem: string): SlipwayError {
  return new SlipwayError(
    'internal',
    'sandbox-remains',
    `The sandbox ${name} could not be removed: ${problem}. Look for its name in /proc/self/mountinfo, /sys/fs/cgroup, ${places.runtimeDir} and ${places.stateDir}.`,
  );
}
