/** One service per state directory: a second one would take the runs of the first for those of a dead one. */
import path from 'node:path';
import { SlipwayError } from '../base/errors.ts';
import { tryLockFile } from '../base/lock-file.ts';

/** A killed service's lock is free in a moment; a living one keeps it. */
const waitSeconds = 5;

/** @throws SlipwayError `state-dir-in-use` */
export async function lockService(stateDir: string): Promise<AsyncDisposable> {
  const lock = await tryLockFile(path.join(stateDir, 'service.lock'), { waitSeconds });
  if (lock !== undefined) return lock;
  throw new SlipwayError(
    'conflict',
    'state-dir-in-use',
    `Another Slipway service uses ${stateDir}. Stop it first, or give this one a SLIPWAY_STATE_DIR of its own.`,
  );
}
