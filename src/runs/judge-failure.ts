/** What a run becomes when its execution was broken off: by a wish of ours, or by a failure of the platform. */
import { isSlipwayError, toSlipwayError } from '../base/errors.ts';
import type { Outcome } from '../model/run.ts';
import type { ActiveRun } from './active-run.ts';

/** An outcome; or back to the queue; or not our run any more. */
export type Verdict = Outcome | 'requeue' | 'abandon';

export function judgeFailure(active: Pick<ActiveRun, 'wish' | 'stage'>, error: unknown): Verdict {
  const { wish, stage } = active;
  if (wish?.kind === 'abandon' || isSlipwayError(error, 'stale-token')) return 'abandon';
  if (wish?.kind === 'cancel') return { kind: 'cancelled', reason: wish.reason };
  const { code, message } = toSlipwayError(error);
  if (stage === 'begun') return { kind: 'lost', reason: message };
  if (stage === 'preparing' && (wish?.kind === 'requeue' || mayPassLater(error))) return 'requeue';
  return { kind: 'platform-error', code, message };
}

/** The starter is away or has no room: another attempt may succeed. */
export function mayPassLater(error: unknown): boolean {
  return isSlipwayError(error) && (error.kind === 'unavailable' || error.kind === 'too-many');
}
