/** The lock that builds of one store wait for. */
import { SlipwayError } from '../../base/errors.ts';
import { tryLockFile } from '../../base/lock-file.ts';

export interface LockOptions {
  /** Told once when the lock is taken. */
  readonly onWait?: () => void;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Waits for a lock.
 *
 * @param path made if missing
 * @throws SlipwayError `build-cancelled`
 */
export async function lockFile(path: string, { onWait, signal }: LockOptions = {}): Promise<AsyncDisposable> {
  const lock = await tryLockFile(path, { waitSeconds: 0, signal });
  if (lock) return lock;
  onWait?.();
  const waited = await tryLockFile(path, { signal });
  if (waited) return waited;
  throw new SlipwayError(
    'cancelled',
    'build-cancelled',
    'The build was cancelled while it waited for another one.',
  );
}
