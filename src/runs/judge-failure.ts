/** What a run becomes when its execution was broken off: by a wish of ours, or by a failure of the platform. */
import { isSlipwayError, toSlipwayError } from '../base/errors.ts';
import type { Outcome } from '../model/run.ts';
import type { ActiveRun } from './active-run.ts';

/** An outcome; or back to the queue; or not our run any more. */
export type Verdict = Outcome | 'requeue' | 'abandon';

/** The starter is there and says that the runtime failed: the run is not lost, its end is known. */
const sandboxFailures: ReadonlySet<string> = new Set([
  'sandbox-failed',
  'runtime-timeout',
  'runtime-missing',
]);

/** @param isLastAttempt whether what may pass later is not waited for any more */
export function judgeFailure(
  { wish, stage }: Pick<ActiveRun, 'wish' | 'stage'>,
  error: unknown,
  isLastAttempt: boolean,
): Verdict {
  if (wish?.kind === 'abandon' || isSlipwayError(error, 'stale-token')) return 'abandon';
  if (wish?.kind === 'cancel') return { kind: 'cancelled', reason: wish.reason };
  const { code, message } = toSlipwayError(error);
  if (stage === 'begun' && !sandboxFailures.has(code)) return { kind: 'lost', reason: message };
  const isWorthwhile = wish?.kind === 'requeue' || (mayPassLater(error) && !isLastAttempt);
  if (stage === 'preparing' && isWorthwhile) return 'requeue';
  return { kind: 'platform-error', code, message };
}

/** The starter is away or has no room: another attempt may succeed. */
export function mayPassLater(error: unknown): boolean {
  return isSlipwayError(error) && (error.kind === 'unavailable' || error.kind === 'too-many');
}
