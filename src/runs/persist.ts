/** Writes that must not be given up because a disk is full or a database is locked for a while. */
import { isSlipwayError, messageOf, systemCode } from '../base/errors.ts';
import type { EngineLogger } from './engine-context.ts';
import { pause } from './wake.ts';

const firstDelayMs = 50;
const longestDelayMs = 5000;

export interface Persistence {
  readonly logger: EngineLogger;
  /** Aborts when it makes no sense to go on; the last error is thrown then. */
  readonly signal: AbortSignal;
  /** What is written, for the log. */
  readonly what: string;
}

/** Tries again, ever more slowly, for as long as the failure is one that can pass by itself. */
export async function persist<Value>(work: () => Promise<Value>, persistence: Persistence): Promise<Value> {
  for (let failures = 0; ; failures++) {
    try {
      return await work();
    } catch (error) {
      if (!mayPass(error) || persistence.signal.aborted) throw error;
      if (failures === 0) {
        persistence.logger.warn({ error: messageOf(error) }, `${persistence.what}: failed, trying again`);
      }
      await pause(Math.min(longestDelayMs, firstDelayMs * 2 ** Math.min(failures, 10)), persistence.signal);
    }
  }
}

const passingCodes = new Set(['ENOSPC', 'EDQUOT', 'EIO', 'EMFILE', 'ENFILE']);

function mayPass(error: unknown): boolean {
  if (isSlipwayError(error)) return error.kind === 'unavailable' && error.code !== 'store-closed';
  return passingCodes.has(systemCode(error) ?? '');
}
