/**
 * Processes of ours, not of the sandbox's, that a crashed starter leaves: they outlive it for a moment or for
 * ever and could go on to start a program or to mount something.
 */
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { SandboxRef } from '../../driver.ts';
import type { Places } from '../places.ts';
import { sendSignal } from './cgroups.ts';
import { isStarterAlive, processStartTime } from './starters.ts';

const deathDeadlineMs = 20_000;

/**
 * Kills the runtime, forwarder, outlet and disk tools of a sandbox, and the mount helper of its starter if that is dead;
 * waits until they are gone.
 */
export async function killOrphans(places: Places, ref: SandboxRef): Promise<void> {
  const marks = await marksOf(places, ref);
  const found = new Map<number, string>();
  for (const pid of await rootsProcesses()) {
    const words = `\0${await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')}`;
    if (!marks.some((mark) => mark.every((part) => words.includes(part)))) continue;
    const startTime = processStartTime(pid);
    if (startTime !== undefined) found.set(pid, startTime);
  }
  for (const pid of found.keys()) sendSignal(pid, 'SIGKILL');
  await allGone(found);
}

/** Parts of command lines; a process that has all of one mark is ours. */
async function marksOf(places: Places, ref: SandboxRef): Promise<string[][]> {
  const { name, starter } = ref;
  const marks = [
    [`\0${places.runtimeRoot}\0`, `\0${name}\0`],
    [`${places.socketPath(name)},`],
    [`:${places.outletPath(name)}\0`],
    [`\0${places.diskDir(name)}/`],
  ];
  const dead = !(await isStarterAlive(places.runtimeDir, starter));
  return dead ? [...marks, [`\0${places.helperTag(starter)}\0`]] : marks;
}

/**
 * A sandbox can give itself any command line, but never the host's root as its user; its own processes end
 * with its cgroups.
 */
async function rootsProcesses(): Promise<number[]> {
  const pids = (await readdir('/proc'))
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && pid !== process.pid);
  const roots = await Promise.all(pids.map(isRoots));
  return pids.filter((_, i) => roots[i]);
}

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
