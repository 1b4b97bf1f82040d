/** A lock between processes: whoever holds the flock of a file, by util-linux's flock(1). */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { SlipwayError, systemCode } from './errors.ts';

export interface TryLockOptions {
  /** `shared`: together with others that are; default `exclusive`: alone. */
  readonly mode?: 'shared' | 'exclusive';
  /** How long to wait for another holder, in seconds; 0: not at all. Without it: for ever. */
  readonly waitSeconds?: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The kernel releases the lock when its holder ends, however it ends.
 *
 * @param path made if missing
 * @returns undefined if somebody else still has it, or the signal aborted
 * @throws SlipwayError `program-missing`
 */
export async function tryLockFile(
  path: string,
  { mode = 'exclusive', waitSeconds, signal }: TryLockOptions = {},
): Promise<AsyncDisposable | undefined> {
  const wait = waitSeconds === undefined ? [] : ['--timeout', String(waitSeconds)];
  // `cat` holds the lock as long as its standard input, which ends with us.
  const child = spawn('flock', [`--${mode}`, ...wait, path, 'sh', '-c', 'echo held; exec cat >/dev/null'], {
    stdio: ['pipe', 'pipe', 'inherit'],
    detached: true, // a terminal's Ctrl-C is not for it
    ...(signal ? { signal } : {}),
  });
  const ended = new Promise<'ended'>((resolve, reject) => {
    child.once('error', (error) =>
      systemCode(error) === 'ENOENT' ? reject(missing(error)) : resolve('ended'),
    );
    child.once('close', () => resolve('ended'));
  });
  const state = await Promise.race([once(child.stdout, 'data').then(() => 'held'), ended]);
  if (state === 'ended') return undefined;
  return {
    async [Symbol.asyncDispose]() {
      child.stdin.end();
      await ended;
    },
  };
}

function missing(cause: unknown): SlipwayError {
  return new SlipwayError(
    'unavailable',
    'program-missing',
    'This machine has no flock, by which processes wait for each other. As root, type: ' +
      'apt-get install --no-install-recommends util-linux',
    { cause },
  );
}
