/** The end of an execution, written down: it is tried for as long as the engine lives. */

import type { Digest } from '../base/digest.ts';
import { isSlipwayError, SlipwayError } from '../base/errors.ts';
import type { Run, RunResult } from '../model/run.ts';
import type { FencedWrite } from '../store/store.ts';
import type { OutputCollector } from './collect-output.ts';
import type { EngineContext } from './engine-context.ts';
import { persist } from './persist.ts';

/**
 * Stores a result, or puts the run back into the queue. A stale claim ends it quietly: either somebody else owns
 * the run, or our own write had succeeded and only its answer was lost.
 */
export async function settleRun(
  context: EngineContext,
  claim: FencedWrite,
  end: RunResult | 'requeue',
): Promise<void> {
  const { store, logger } = context;
  const write = () =>
    end === 'requeue' ? store.requeueRun(claim) : store.finishRun({ ...claim, result: end });
  const what = `The end of the run ${claim.id} cannot be stored`;
  try {
    await persist(write, { logger, signal: context.halt, what });
  } catch (error) {
    if (!isSlipwayError(error, 'stale-token')) throw error;
    logger.warn({ run: claim.id, error: error.message }, 'the end of a run came too late');
  }
}

/** Completes the captured output and stores it. */
export async function storeLog(context: EngineContext, run: Run, output: OutputCollector): Promise<Digest> {
  const { blobs, logger, halt } = context;
  await output.end(halt);
  const what = `The output of the run ${run.id} cannot be stored`;
  const put = () => blobs.put(output.read(), { maxBytes: Number.MAX_SAFE_INTEGER });
  return (await persist(put, { logger, signal: halt, what })).digest;
}

/** @throws SlipwayError `run-not-found` */
export function runNotFound(id: string): SlipwayError {
  return new SlipwayError('not-found', 'run-not-found', `There is no run ${id}.`, { details: { run: id } });
}
