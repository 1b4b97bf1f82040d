import { isFinished, type Run, type RunId } from '../model/run.ts';
import type { EngineContext } from './engine-context.ts';
import { runNotFound } from './settle-run.ts';

/**
 * The finished run, or the run as it is when `signal` aborts.
 *
 * @throws SlipwayError `run-not-found`
 */
export async function waitForRun(context: EngineContext, id: RunId, signal: AbortSignal): Promise<Run> {
  using changes = context.watch.watch(id);
  for (;;) {
    const run = await context.store.getRun(id);
    if (!run) throw runNotFound(id);
    if (isFinished(run.status) || signal.aborted) return run;
    await changes.wait(context.config.pollMs, signal);
  }
}
