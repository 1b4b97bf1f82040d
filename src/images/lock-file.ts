/** Waiting for a lock between commands that work on images; what a lock is, is in base/lock-file.ts. */
import { SlipwayError } from '../base/errors.ts';
import { tryLockFile } from '../base/lock-file.ts';

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
  const lock = await tryLockFile(path, { mode, waitSeconds: 0, signal });
  if (lock) return lock;
  onWait?.();
  const waited = await tryLockFile(path, { mode, signal });
  if (waited) return waited;
  throw new SlipwayError('cancelled', 'lock-cancelled', 'Cancelled while waiting for another command.');
}
