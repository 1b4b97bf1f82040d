/**
 * Which starter processes of an install are alive. A starter registers itself before it makes anything and
 * signs off after everything of it is gone; a registration whose process is not there any more (by start time
 * and boot, since process ids are reused) means that it crashed and left things behind.
 */
import { readFileSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { systemCode } from '../../../base/errors.ts';

interface Registration {
  readonly pid: number;
  /** In clock ticks since boot. */
  readonly startTime: string;
  readonly bootId: string;
}

/** Registers this process as the starter `starter`. */
export async function registerStarter(runtimeDir: string, starter: string): Promise<void> {
  const file = registrationPath(runtimeDir, starter);
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  const registration: Registration = {
    pid: process.pid,
    startTime: processStartTime(process.pid) ?? '',
    bootId: readBootId(),
  };
  await writeFile(`${file}.new`, JSON.stringify(registration), { mode: 0o600 });
  await rename(`${file}.new`, file);
}

export async function unregisterStarter(runtimeDir: string, starter: string): Promise<void> {
  await rm(registrationPath(runtimeDir, starter), { force: true });
}

/** The ids of all registered starters, alive or not. */
export async function registeredStarters(runtimeDir: string): Promise<string[]> {
  const names = await readdir(path.join(runtimeDir, 'starters')).catch(emptyIfAbsent);
  return names.filter((name) => name.endsWith('.json')).map((name) => name.slice(0, -'.json'.length));
}

/** Whether the process that registered under this id still runs. */
export async function isStarterAlive(runtimeDir: string, starter: string): Promise<boolean> {
  const text = await readFile(registrationPath(runtimeDir, starter), 'utf8').catch(() => undefined);
  const registration = text === undefined ? undefined : parseRegistration(text);
  if (registration === undefined || registration.bootId !== readBootId()) return false;
  return processStartTime(registration.pid) === registration.startTime;
}

/** Start time of a process in clock ticks since boot, or undefined if there is none; a zombie counts as gone. */
export function processStartTime(pid: number): string | undefined {
  const fields = processStat(pid);
  return fields === undefined || fields[0] === 'Z' ? undefined : fields[19];
}

/** The fields of /proc/<pid>/stat from the state on; the name before it may contain anything. */
function processStat(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}

/** Changes with every boot of the machine. */
export function readBootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
}

function registrationPath(runtimeDir: string, starter: string): string {
  return path.join(runtimeDir, 'starters', `${starter}.json`);
}

function parseRegistration(text: string): Registration | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null) return undefined;
    const { pid, startTime, bootId }: Record<string, unknown> = { ...value };
    if (typeof pid !== 'number' || typeof startTime !== 'string' || typeof bootId !== 'string')
      return undefined;
    return { pid, startTime, bootId };
  } catch {
    return undefined;
  }
}

/** For directories that are made with their first entry. */
export function emptyIfAbsent(error: unknown): string[] {
  if (systemCode(error) === 'ENOENT') return [];
  throw error;
}
