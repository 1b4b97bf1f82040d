/**
 * One process of the OCI runtime in the foreground (`run --keep`): it makes the sandbox, carries the program's
 * streams and ends with it. It is not trusted to clean up (host/traces.ts does), and its own messages never
 * reach the program's output: they go to a log file, and what it prints before the program has started is
 * kept apart.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { Duplex, type Readable, type Writable } from 'node:stream';
import { promisify } from 'node:util';
import { SlipwayError, systemCode } from '../../../base/errors.ts';
import { sendSignal } from '../host/cgroups.ts';

export interface RuntimeCommand {
  readonly name: string;
  /** Absolute, or looked up in PATH. */
  readonly path: string;
}

export interface LaunchOptions {
  readonly runtime: RuntimeCommand;
  /** The runtime's state directory. */
  readonly root: string;
  /** The bundle: holds config.json; log and pid file are written here. */
  readonly runDir: string;
  readonly name: string;
  /** Whether the program inherits a socket as descriptor 3. */
  readonly channel: boolean;
}

export interface RuntimeExit {
  /** Null when a signal ended the runtime itself. */
  readonly code: number | null;
  readonly signal: string | null;
}

const deleteDeadlineMs = 10_000;

/**
 * Whether a runtime leaves state and cgroups to us: removing them is faster than its `delete`, and the cgroups stay
 * readable. Others remove their cgroups with the sandbox, and may keep more than we know (gVisor a kernel and a file
 * server of its own).
 */
export function leavesCleanUp(runtime: RuntimeCommand): boolean {
  return runtime.name === 'runc';
}

export class RuntimeProcess {
  /** Resolves when the process was launched; rejects with `runtime-missing`. */
  readonly launched: Promise<void>;
  readonly exited: Promise<RuntimeExit>;
  readonly launchedAtMs = performance.now();
  readonly #child: ChildProcess;
  readonly #runDir: string;

  constructor(options: LaunchOptions) {
    this.#runDir = options.runDir;
    // A process group of its own: signals of a terminal do not reach it, and it can be killed with its helpers.
    this.#child = spawn(options.runtime.path, toArguments(options), {
      detached: true,
      cwd: '/',
      env: runtimeEnvironment(),
      stdio: ['pipe', 'pipe', 'pipe', ...(options.channel ? (['pipe'] as const) : [])],
    });
    const child = this.#child;
    this.launched = new Promise((resolve, reject) => {
      child.once('spawn', () => resolve());
      child.once('error', (error) => reject(cannotLaunch(options.runtime, error)));
    });
    this.exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => resolve({ code, signal }));
      child.once('error', () => resolve({ code: null, signal: null }));
    });
    this.launched.catch(() => undefined);
  }

  get stdin(): Writable {
    return present(this.#child.stdin);
  }

  get stdout(): Readable {
    return present(this.#child.stdout);
  }

  get stderr(): Readable {
    return present(this.#child.stderr);
  }

  /** The host's end of descriptor 3. */
  get channel(): Duplex {
    const stream = this.#child.stdio[3];
    if (stream instanceof Duplex) return stream;
    throw new SlipwayError('internal', 'no-channel', 'The sandbox was made without a channel.');
  }

  /** The runtime writes its pid file once the program was started. */
  get programStarted(): boolean {
    return existsSync(this.#file('pid'));
  }

  /** The program's process id as the host sees it; it may be gone already. */
  get programPid(): number | undefined {
    const pid = Number.parseInt(this.#read('pid'), 10);
    return pid > 0 ? pid : undefined;
  }

  /** When the program was started, in ms since 1970, or undefined if it was not. */
  get programStartedAtMs(): number | undefined {
    try {
      return statSync(this.#file('pid')).mtimeMs;
    } catch {
      return undefined;
    }
  }

  /** The runtime's log: JSON lines. */
  get log(): string {
    return this.#read('log');
  }

  /** Kills the runtime with the helpers that it started outside the sandbox's cgroups. */
  kill(): void {
    const { pid, exitCode, signalCode } = this.#child;
    if (pid !== undefined && exitCode === null && signalCode === null) sendSignal(-pid, 'SIGKILL');
  }

  #file(name: string): string {
    return path.join(this.#runDir, name);
  }

  #read(name: string): string {
    try {
      return readFileSync(this.#file(name), 'utf8');
    } catch {
      return '';
    }
  }
}

function toArguments(options: LaunchOptions): string[] {
  const { runDir } = options;
  return [
    ...['--root', options.root, '--log', path.join(runDir, 'log'), '--log-format', 'json', 'run'],
    ...(leavesCleanUp(options.runtime) ? ['--keep'] : []),
    ...(options.channel ? ['--preserve-fds', '1'] : []),
    ...['--bundle', runDir, '--pid-file', path.join(runDir, 'pid'), options.name],
  ];
}

/**
 * Nothing of the starter's environment but the search path for the runtime's own helpers. One Go processor is
 * enough for what a runtime does and saves a tenth of its CPU time; the program inside sees neither.
 */
function runtimeEnvironment(): NodeJS.ProcessEnv {
  return { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', GOMAXPROCS: '1' };
}

function present<Stream>(stream: Stream | null): Stream {
  if (stream !== null) return stream;
  throw new SlipwayError('internal', 'no-stream', 'The runtime was launched without its streams.');
}

/** Lets a runtime remove what only it knows; what it leaves is found by the sweep. */
export async function deleteByRuntime(runtime: RuntimeCommand, root: string, name: string): Promise<void> {
  if (leavesCleanUp(runtime) || !existsSync(path.join(root, name))) return;
  const options = { timeout: deleteDeadlineMs, killSignal: 'SIGKILL', env: runtimeEnvironment() } as const;
  await promisify(execFile)(runtime.path, ['--root', root, 'delete', '--force', name], options).catch(
    () => undefined,
  );
}

/** @param reason why it cannot be used, as the end of a sentence */
export function runtimeMissing(runtime: RuntimeCommand, reason: string, cause?: unknown): SlipwayError {
  return new SlipwayError(
    'unavailable',
    'runtime-missing',
    `The OCI runtime ${runtime.path} cannot be used: ${reason}. Install it (on Debian: apt-get install ${runtime.name}) or set another one.`,
    { cause },
  );
}

function cannotLaunch(runtime: RuntimeCommand, error: Error): SlipwayError {
  const reason = systemCode(error) === 'ENOENT' ? 'there is no such program' : error.message;
  return runtimeMissing(runtime, reason, error);
}
