/** A lock between processes: whoever holds the flock of a file, by util-linux's flock(1). */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { SlipwayError } from '../../base/errors.ts';

export interface LockOptions {
  /** Told once when the lock is taken. */
  readonly onWait?: () => void;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Waits for a lock. The kernel releases it when its holder ends, however it ends.
 *
 * @param path made if missing
 */
export async function lockFile(path: string, { onWait, signal }: LockOptions = {}): Promise<AsyncDisposable> {
  const lock = await tryLock(path, ['--nonblock'], signal);
  if (lock) return lock;
  onWait?.();
  const waited = await tryLock(path, [], signal);
  if (waited) return waited;
  throw new SlipwayError(
    'cancelled',
    'build-cancelled',
    'The build was cancelled while it waited for another one.',
  );
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
  const ended = new Promise<'ended'>((resolve) => {
    child.once('error', () => resolve('ended'));
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
