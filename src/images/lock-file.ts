/** A lock between processes: whoever holds the flock of a file, by util-linux's flock(1). */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { SlipwayError } from '../base/errors.ts';

export interface LockOptions {
  /** `shared`: together with others that are; default `exclusive`: alone. */
  readonly mode?: 'shared' | 'exclusive';
  /** Told once when somebody else has the lock. */
  readonly onWait?: (() => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Waits for a lock. The kernel releases it when its holder ends, however it ends.
 *
 * @param path made if missing
 * @throws SlipwayError `lock-cancelled`, `program-missing`
 */
export async function lockFile(
  path: string,
  { mode = 'exclusive', onWait, signal }: LockOptions = {},
): Promise<AsyncDisposable> {
  const lock = await tryLock(path, [`--${mode}`, '--nonblock'], signal);
  if (lock) return lock;
  onWait?.();
  const waited = await tryLock(path, [`--${mode}`], signal);
  if (waited) return waited;
  throw new SlipwayError('cancelled', 'lock-cancelled', 'Cancelled while waiting for another command.');
}

/** `cat` holds the lock as long as its standard input, which ends with us. */
async function tryLock(
  path: string,
  options: readonly string[],
  signal: AbortSignal | undefined,
): Promise<AsyncDisposable | undefined> {
  const child = spawn('flock', [...options, path, 'sh', '-c', 'echo held; exec cat >/dev/null'], {
    stdio: ['pipe', 'pipe', 'inherit'],
    ...(signal ? { signal } : {}),
  });
  const ended = new Promise<'ended'>((resolve, reject) => {
    child.once('error', (error) =>
      'code' in error && error.code === 'ENOENT' ? reject(missing(error)) : resolve('ended'),
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
    'This machine has no flock, by which commands that work on images wait for each other. As root, type: ' +
      'apt-get install --no-install-recommends util-linux',
    { cause },
  );
}
