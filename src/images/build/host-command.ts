/**
 * Runs one program of the host for a build: its output line by line to a callback, the last lines kept for
 * the error message, the whole process group ended when the build is cancelled.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { SlipwayError, systemCode } from '../../base/errors.ts';

const keptLines = 25;
const maxLineLength = 2000;

export interface HostCommand {
  readonly program: string;
  readonly args: readonly string[];
  /** The whole environment; nothing is inherited. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string | undefined;
  readonly progress?: ((line: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * @returns standard output, without the last line end; at most some megabytes are expected.
 * @throws SlipwayError `program-missing`, `build-failed` (with the last lines), `build-cancelled`
 */
export async function runHostCommand(command: HostCommand): Promise<string> {
  const { program, args, env, cwd, progress, signal } = command;
  if (signal?.aborted) throw cancelled(program);
  const child = spawn(program, [...args], {
    env: { ...env },
    cwd,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const stop = () => endGroup(child.pid);
  signal?.addEventListener('abort', stop, { once: true });
  const tail: string[] = [];
  const out: string[] = [];
  const take = (line: string) => {
    const short = line.slice(0, maxLineLength);
    if (tail.push(short) > keptLines) tail.shift();
    progress?.(short);
  };
  createInterface(child.stdout).on('line', (line) => {
    out.push(line);
    take(line);
  });
  createInterface(child.stderr).on('line', take);
  try {
    const exit = await exitOf(child);
    if (signal?.aborted) throw cancelled(program);
    if (exit !== 0) throw failed(command, exit, tail);
    return out.join('\n');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') throw missing(program, error);
    throw error;
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}

/** Whether the host has a program, looked up as `execvp` would. */
export async function hasProgram(program: string, env: Readonly<Record<string, string>>): Promise<boolean> {
  try {
    await runHostCommand({ program, args: ['--version'], env });
    return true;
  } catch {
    return false;
  }
}

function exitOf(child: ReturnType<typeof spawn>): Promise<number | string> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve(code ?? signal ?? 'unknown'));
  });
}

function endGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

function failed(
  { program, args }: HostCommand,
  exit: number | string,
  tail: readonly string[],
): SlipwayError {
  const what = [program, args.find((arg) => /^[a-z]/.test(arg) && arg !== 'overlay') ?? ''].join(' ').trim();
  return new SlipwayError(
    'invalid-input',
    'build-failed',
    `The build failed: ${what} ended with ${exit}. Its last lines:\n${tail.join('\n')}`,
    { details: { program, exit } },
  );
}

function cancelled(program: string): SlipwayError {
  return new SlipwayError('cancelled', 'build-cancelled', `The build was cancelled (${program} was ended).`);
}

function missing(program: string, cause: unknown): SlipwayError {
  return new SlipwayError(
    'unavailable',
    'program-missing',
    `This machine has no ${program}, which builds need. As root, type: apt-get install --no-install-recommends ${program}`,
    { cause },
  );
}
