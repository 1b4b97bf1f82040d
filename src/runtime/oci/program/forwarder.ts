/**
 * The way into a `server` sandbox: a process that joins its network namespace from outside and offers a Unix
 * socket in a directory of the starter's alone. It connects to loopback inside; nothing inside can reach out
 * through it, and the host never opens a path that a sandbox can write.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { type FileHandle, open, readFile, stat } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { SlipwayError } from '../../../base/errors.ts';
import { untilAborted } from '../abort.ts';
import { sendSignal } from '../host/cgroups.ts';

export interface ForwarderOptions {
  readonly port: number;
  readonly socketPath: string;
  /** The program's process id while it is alive. */
  readonly programPid: () => number | undefined;
  /** Whether the sandbox has ended. */
  readonly isOver: () => boolean;
}

const pollMs = 5;
const maxConnections = 256;
const tcpTableBytes = 256 * 1024;

/**
 * Runs in the namespace: first quick acknowledgements on loopback, without which replies of ordinary Python
 * servers wait 40 ms each (where `ip` is missing it is only slower), then the forwarding itself.
 */
const script = `
printf 'route change table local local 127.0.0.0/8 dev lo proto kernel scope host src 127.0.0.1 quickack 1
route change table local local 127.0.0.1 dev lo proto kernel scope host src 127.0.0.1 quickack 1
' | ip -batch - 2>/dev/null
exec socat "$1" "$2"
`;

export class Forwarder {
  readonly #options: ForwarderOptions;
  #process: ChildProcess | undefined;
  #starting: Promise<string> | undefined;
  #closed = false;

  constructor(options: ForwarderOptions) {
    this.#options = options;
  }

  /**
   * The path of the socket, once something inside listens on the port.
   *
   * @throws SlipwayError `server-ended` when the sandbox ends before that
   */
  async ready(signal: AbortSignal): Promise<string> {
    signal.throwIfAborted();
    this.#starting ??= this.#start();
    const starting = this.#starting;
    starting.catch(() => undefined);
    return untilAborted(starting, signal);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#starting?.catch(() => undefined);
    const child = this.#process;
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    sendSignal(-child.pid, 'SIGKILL');
    await gone;
  }

  async #start(): Promise<string> {
    const { namespace, listener } = await this.#awaitListener();
    await using _ = namespace;
    const child = this.#launch(namespace, listener);
    this.#process = child;
    let problem = '';
    child.stderr?.on('data', (text) => {
      problem = `${problem}${text}`.slice(-500);
    });
    child.on('error', (error) => {
      problem = error.message;
    });
    while (!(await acceptsConnections(child, this.#options.socketPath))) {
      if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null)
        throw broken(problem);
      this.#assertAlive();
      await delay(pollMs);
    }
    return this.#options.socketPath;
  }

  /** The sandbox's network namespace, held open, after something listens in it, and where. */
  async #awaitListener(): Promise<{ readonly namespace: FileHandle; readonly listener: Listener }> {
    for (;;) {
      this.#assertAlive();
      const pid = this.#options.programPid();
      const listener = pid === undefined ? undefined : await findListener(pid, this.#options.port);
      if (pid !== undefined && listener !== undefined) {
        const namespace = await this.#namespaceOf(pid);
        if (namespace !== undefined) return { namespace, listener };
      }
      await delay(pollMs);
    }
  }

  /** The id may be another process's by now: only after it is open, it is looked at whose it is. */
  async #namespaceOf(pid: number): Promise<FileHandle | undefined> {
    const namespace = await open(`/proc/${pid}/ns/net`).catch(() => undefined);
    if (namespace === undefined) return undefined;
    const [theirs, ours] = await Promise.all([namespace.stat(), stat('/proc/self/ns/net')]);
    if (theirs.ino !== ours.ino && this.#options.programPid() === pid) return namespace;
    await namespace.close();
    return undefined;
  }

  #launch(namespace: FileHandle, listener: Listener): ChildProcess {
    const { socketPath, port } = this.#options;
    const listen = `UNIX-LISTEN:${socketPath},fork,mode=0600,backlog=128,max-children=${maxConnections}`;
    const connect = `${loopbacks[listener]}:${port},nodelay`;
    return spawn('nsenter', ['--net=/proc/self/fd/3', '/bin/sh', '-c', script, 'sh', listen, connect], {
      detached: true,
      cwd: '/',
      env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' },
      stdio: ['ignore', 'ignore', 'pipe', namespace.fd],
    });
  }

  #assertAlive(): void {
    if (!this.#closed && !this.#options.isOver()) return;
    throw new SlipwayError(
      'unavailable',
      'server-ended',
      `The server in the sandbox ended before it listened on port ${this.#options.port}. Look at its output.`,
    );
  }
}

type Listener = 'ipv4' | 'ipv6';

const loopbacks: Readonly<Record<Listener, string>> = { ipv4: 'TCP4:127.0.0.1', ipv6: 'TCP6:[::1]' };

/** The loopback by which a server on the port can be reached in that network namespace, once there is one. */
export async function findListener(pid: number, port: number): Promise<Listener | undefined> {
  const [four, six] = await Promise.all(['tcp', 'tcp6'].map((name) => readHead(`/proc/${pid}/net/${name}`)));
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  if (four?.split('\n').some((line) => isListener(line, suffix))) return 'ipv4';
  return six?.split('\n').some((line) => isListener(line, suffix)) ? 'ipv6' : undefined;
}

/** The flag of a socket that listens: its path alone is there a moment earlier. */
const acceptingFlag = '00010000';

/** Such sockets are listed in the network namespace that their process is in. */
async function acceptsConnections({ pid }: ChildProcess, socketPath: string): Promise<boolean> {
  if (pid === undefined || !existsSync(socketPath)) return false;
  const table = await readFile(`/proc/${pid}/net/unix`, 'latin1').catch(() => '');
  return table
    .split('\n')
    .some((line) => line.endsWith(` ${socketPath}`) && line.split(' ')[3] === acceptingFlag);
}

/** Listening sockets come first in the table, which a sandbox can make very long. */
async function readHead(file: string): Promise<string> {
  try {
    await using handle = await open(file);
    const buffer = Buffer.alloc(tcpTableBytes);
    let filled = 0;
    while (filled < buffer.length) {
      const { bytesRead } = await handle.read(buffer, filled, buffer.length - filled, null);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return buffer.toString('latin1', 0, filled);
  } catch {
    return '';
  }
}

const listenState = '0A';

export function isListener(line: string, suffix: string): boolean {
  const [, local, , state] = line.trim().split(/\s+/);
  return state === listenState && (local?.endsWith(suffix) ?? false);
}

export function broken(problem: string): SlipwayError {
  return new SlipwayError(
    'internal',
    'forwarder-failed',
    `The forwarder into the sandbox could not be started: ${problem.trim() || 'it ended'}. Are util-linux and socat installed?`,
  );
}
