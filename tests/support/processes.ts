/** Processes of this host, from /proc. Those that are dead and wait for their parent count as gone. */
import { readdirSync, readFileSync } from 'node:fs';
import { systemCode } from '../../src/base/errors.ts';

export interface AboutProcess {
  /** Its process group. */
  readonly group: number;
  /** `NAME=value` pairs, each between two NUL bytes. */
  readonly environment: string;
}

/** @param isWanted gets the command line as its words, each followed by a NUL byte */
export function findProcesses(
  isWanted: (pid: number, command: string, about: AboutProcess) => boolean,
): number[] {
  const pids = readdirSync('/proc').map(Number);
  return pids.filter((pid) => {
    if (!Number.isInteger(pid) || pid === process.pid || !isAlive(pid)) return false;
    const about = {
      group: Number(stat(pid)[2]),
      get environment() {
        return `\0${read(pid, 'environ')}`;
      },
    };
    return isWanted(pid, read(pid, 'cmdline'), about);
  });
}

export function isAlive(pid: number): boolean {
  const state = stat(pid)[0];
  return state !== undefined && state !== 'Z' && state !== 'X';
}

export function parentOf(pid: number): number | undefined {
  const parent = stat(pid)[1];
  return parent === undefined ? undefined : Number(parent);
}

/** SIGKILL; one that is gone already is no error. */
export function killProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (systemCode(error) !== 'ESRCH') throw error;
  }
}

/** State, parent, group and what follows in /proc/PID/stat (proc(5)); nothing when there is no such process. */
function stat(pid: number): string[] {
  const text = read(pid, 'stat');
  return text === '' ? [] : text.slice(text.lastIndexOf(')') + 2).split(' ');
}

/** Processes end while we look at them. */
function read(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch {
    return '';
  }
}
