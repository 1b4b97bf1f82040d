import type { Run, RunId } from '../model/run.ts';
import type { EngineContext } from './engine-context.ts';

/**
 * Asks for the end of a run: durable at once. One that waits is ended, one that runs here is told (the engine
 * that owns it learns of it when it renews its claim), a finished one stays as it is.
 *
 * @throws SlipwayError `run-not-found`
 */
export async function cancelRun(context: EngineContext, id: RunId, reason: string): Promise<Run> {
  const run = await context.store.cancelRun({ id, reason, at: context.clock.now() });
  context.active.get(id)?.cancel(reason, context.config.cancelGraceMs);
  context.watch.changed(id);
  return run;
}
