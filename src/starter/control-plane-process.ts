/**
 * The control plane as a child of the starter: an unprivileged user, no capabilities, no way to gain any, one end
 * of a socket pair as descriptor 3 and nothing else of ours. It is started again when it ends by itself.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { SlipwayError } from '../base/errors.ts';

/** The descriptor of the control plane's end of the socket pair. */
export const starterDescriptor = 3;

export interface ControlPlaneCommand {
  readonly program: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly uid: number;
  readonly gid: number;
}

export interface ControlPlaneProcess {
  readonly pid: number;
  /** The starter's end of the socket pair. */
  readonly connection: Duplex;
  /** Resolves with a description (`exit status 1`, `SIGKILL`) when the process has ended. */
  readonly ended: Promise<string>;
  /** SIGTERM, and SIGKILL after `graceMs`; resolves when it has ended. */
  stop(graceMs: number): Promise<void>;
}

/** @throws SlipwayError `control-plane-failed` */
export async function spawnControlPlane(command: ControlPlaneCommand): Promise<ControlPlaneProcess> {
  // setpriv executes the program in its own place: the pid is the control plane's.
  const child = spawn('setpriv', [...dropPrivileges(command), command.program, ...command.args], {
    cwd: '/',
    env: command.env,
    stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
  });
  const ended = endOf(child);
  await once(child, 'spawn').catch((cause: unknown) => {
    throw new SlipwayError(
      'internal',
      'control-plane-failed',
      'The control plane cannot be started with setpriv.',
      {
        cause,
      },
    );
  });
  return {
    pid: child.pid ?? 0,
    connection: connectionOf(child),
    ended,
    stop: (graceMs) => stop(child, ended, graceMs),
  };
}

function dropPrivileges({ uid, gid }: ControlPlaneCommand): string[] {
  return [
    `--reuid=${uid}`,
    `--regid=${gid}`,
    '--clear-groups',
    '--no-new-privs',
    '--inh-caps=-all',
    '--ambient-caps=-all',
    '--bounding-set=-all',
    '--',
  ];
}

function connectionOf(child: ChildProcess): Duplex {
  const connection = child.stdio[starterDescriptor];
  if (connection && 'read' in connection && 'write' in connection) return connection as Duplex; // a socket: stdio 'pipe'
  throw new SlipwayError(
    'internal',
    'control-plane-failed',
    'The control plane has no connection to the starter.',
  );
}

async function endOf(child: ChildProcess): Promise<string> {
  return await new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => resolve(signal ?? `exit status ${code}`));
  });
}

async function stop(child: ChildProcess, ended: Promise<string>, graceMs: number): Promise<void> {
  child.kill('SIGTERM');
  using cancel = new DisposableAbort();
  const killed = delay(graceMs, undefined, { signal: cancel.signal }).then(
    () => child.kill('SIGKILL'),
    () => false,
  );
  await Promise.race([ended, killed]);
  await ended;
}

/** Aborts at the end of its block. */
class DisposableAbort implements Disposable {
  readonly #controller = new AbortController();
  readonly signal = this.#controller.signal;

  [Symbol.dispose](): void {
    this.#controller.abort();
  }
}
