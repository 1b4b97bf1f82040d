/** The hostile programs, as files for /data, and the same programs outside, as their own control. */
import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

const directory = new URL('./programs/', import.meta.url);

/** All files of programs/, by name. */
export const programFiles: Readonly<Record<string, Uint8Array>> = Object.fromEntries(
  readdirSync(directory)
    .filter((name) => name.endsWith('.py'))
    .map((name) => [name, readFileSync(new URL(name, directory))]),
);

const hostPython = '/usr/bin/python3';

/** The argv of a program inside a sandbox that has `programFiles`. */
export function inside(program: string, ...args: readonly string[]): string[] {
  return ['python3', '-B', `/data/${program}.py`, ...args];
}

export interface Finished {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a program on the host, as root, in scratch namespaces: mounts, processes, network, names and System V
 * objects of its own. What it does there ends with it.
 */
export function runOutside(program: string, ...args: readonly string[]): Promise<Finished> {
  const scratch = ['--mount', '--uts', '--ipc', '--net', '--pid', '--cgroup', '--fork', '--kill-child'];
  const options = [...scratch, '--mount-proc', '--propagation', 'private'];
  return run('unshare', [...options, hostPython, '-B', pathOf('outside'), program, ...args]);
}

/** Runs a program on the host as it is, as nobody, from a copy (a checkout may be for its owner's eyes only). */
export async function runAsNobody(program: string, ...args: readonly string[]): Promise<Finished> {
  const copies = mkdtempSync(join(tmpdir(), 'slipway-programs-'));
  try {
    chmodSync(copies, 0o755);
    for (const [name, bytes] of Object.entries(programFiles)) writeFileSync(join(copies, name), bytes);
    const nobody = ['--reuid', '65534', '--regid', '65534', '--clear-groups'];
    return await run('setpriv', [...nobody, hostPython, '-B', join(copies, `${program}.py`), ...args]);
  } finally {
    rmSync(copies, { recursive: true });
  }
}

function pathOf(program: string): string {
  return new URL(`${program}.py`, directory).pathname;
}

async function run(command: string, args: readonly string[]): Promise<Finished> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise<Pick<Finished, 'code' | 'signal'>>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
  const [stdout, stderr, end] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { ...end, stdout, stderr };
}
