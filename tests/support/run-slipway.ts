/** One command line of the staged program, run to its end. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { readEnvironment } from '../../src/config/env.ts';

export interface Ended {
  /** The exit status, or the signal. */
  readonly status: number | string;
  readonly stdout: string;
  readonly stderr: string;
}

/** Then it is asked to end; never reached by a command that works. */
const deadlineMs = 60_000;

/** @param env the whole environment: a service's `env` for its directories */
export async function runSlipway(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<Ended> {
  const home = readEnvironment()['STAGED_SLIPWAY'] ?? path.join(import.meta.dirname, '..', '..');
  const program = path.join(home, 'bin', 'slipway.cjs');
  const child = spawn(process.execPath, [program, ...args], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: deadlineMs,
    killSignal: 'SIGTERM',
  });
  const ended = once(child, 'close');
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const [code, signal] = await ended;
  return { status: signal ?? code, stdout, stderr };
}
