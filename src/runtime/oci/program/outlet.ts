/**
 * The one way out of a sandbox that has an outlet: a process of ours that made the sandbox's network namespace and
 * listens on its loopback before anything else is in it. Each connection comes to a Unix socket in a directory of the
 * starter's alone. The runtime joins the namespace by a descriptor of this process, so that it can be no other.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { SandboxOutlet } from '../../driver.ts';
import { sendSignal } from '../host/cgroups.ts';
import { broken, findListener } from './forwarder.ts';

const pollMs = 5;
const openDeadlineMs = 10_000;
/** Processes that carry connections; more wait to be accepted. */
const maxConnections = 96;
/** The other side of a connection of which one side has ended may take so long, in s. */
const halfOpenSeconds = 600;

/** Runs in the new namespace, where loopback is still down. */
const script = 'ip link set lo up && exec socat -t "$1" "$2" "$3"';

export class Outlet {
  /** For the runtime's configuration. */
  readonly networkNamespace: string;
  readonly #server: Server;
  readonly #child: ChildProcess;
  readonly #namespace: FileHandle;
  #closing: Promise<void> | undefined;

  private constructor(server: Server, child: ChildProcess, namespace: FileHandle) {
    this.#server = server;
    this.#child = child;
    this.#namespace = namespace;
    this.networkNamespace = `/proc/${process.pid}/fd/${namespace.fd}`;
  }

  /**
   * Resolves when the port inside takes connections.
   *
   * @throws SlipwayError `forwarder-failed`; then nothing is left
   */
  static async open({ port, accept }: SandboxOutlet, socketPath: string): Promise<Outlet> {
    const server = createServer({ allowHalfOpen: true }, accept).listen(socketPath);
    await once(server, 'listening');
    const child = launch(port, socketPath);
    try {
      return new Outlet(server, child, await awaitListener(child, port));
    } catch (error) {
      await end(child);
      server.close();
      throw error;
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await end(this.#child);
    this.#server.close(); // connections that were accepted belong to who took them
    await this.#namespace.close();
  }
}

function launch(port: number, socketPath: string): ChildProcess {
  const listen = `TCP4-LISTEN:${port},bind=127.0.0.1,fork,reuseaddr,nodelay,backlog=128,max-children=${maxConnections}`;
  const words = [String(halfOpenSeconds), listen, `UNIX-CONNECT:${socketPath}`];
  return spawn('unshare', ['--net', '/bin/sh', '-c', script, 'sh', ...words], {
    detached: true,
    cwd: '/',
    env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
}

/** The new namespace, held open, once something listens in it. */
async function awaitListener(child: ChildProcess, port: number): Promise<FileHandle> {
  let problem = '';
  child.stderr?.on('data', (text) => {
    problem = `${problem}${text}`.slice(-500);
  });
  child.on('error', (error) => {
    problem = error.message;
  });
  const deadline = performance.now() + openDeadlineMs;
  while (child.exitCode === null && child.signalCode === null && performance.now() < deadline) {
    const namespace = child.pid === undefined ? undefined : await newNamespaceOf(child.pid);
    if (namespace !== undefined && child.pid !== undefined) {
      if ((await findListener(child.pid, port)) === 'ipv4') return namespace;
      await namespace.close();
    }
    await delay(pollMs);
    if (child.pid === undefined) break;
  }
  throw broken(problem);
}

/** Until it has made its own, a process is in ours, which must never be a sandbox's. */
async function newNamespaceOf(pid: number): Promise<FileHandle | undefined> {
  const namespace = await open(`/proc/${pid}/ns/net`).catch(() => undefined);
  if (namespace === undefined) return undefined;
  const [theirs, ours] = await Promise.all([namespace.stat(), stat('/proc/self/ns/net')]);
  if (theirs.ino !== ours.ino) return namespace;
  await namespace.close();
  return undefined;
}

/** With the processes that carry connections. */
async function end(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  sendSignal(-child.pid, 'SIGKILL');
  await gone;
}
