/** Takes queued runs while there is room and executes them; woken by submissions and ends, else by the clock. */
import { messageOf } from '../base/errors.ts';
import type { Run } from '../model/run.ts';
import { ActiveRun } from './active-run.ts';
import type { EngineContext } from './engine-context.ts';
import { executeRun } from './execute.ts';
import { pause } from './wake.ts';

/** Runs until `stopping` aborts; what was started by then goes on. Never throws. */
export async function dispatch(context: EngineContext, stopping: AbortSignal): Promise<void> {
  const { config, work, starterHealth, logger } = context;
  while (!stopping.aborted) {
    await pause(starterHealth.delayMs, stopping);
    const claimed = await claim(context, stopping).catch((error) => {
      logger.error({ error: messageOf(error) }, 'no run can be claimed');
      return 0;
    });
    if (claimed === 0 || roomFor(context) === 0) await work.wait(config.pollMs, stopping);
  }
}

/** How many more runs may be executed now; while the starter fails, one at a time. */
function roomFor({ config, active, starterHealth }: EngineContext): number {
  return (starterHealth.delayMs > 0 ? 1 : config.concurrency) - active.size;
}

async function claim(context: EngineContext, stopping: AbortSignal): Promise<number> {
  const limit = roomFor(context);
  if (limit <= 0 || stopping.aborted) return 0;
  const { holder, leaseMs } = context.config;
  const runs = await context.store.claimRuns({ holder, limit, now: context.clock.now(), leaseMs });
  for (const run of runs) begin(context, run, stopping);
  return runs.length;
}

function begin(context: EngineContext, run: Run, stopping: AbortSignal): void {
  const active = new ActiveRun(run);
  // Another engine took it from us and gave it back before we noticed.
  context.active.get(run.id)?.abandon();
  context.active.set(run.id, active);
  context.watch.changed(run.id);
  if (stopping.aborted) active.requeue();
  void executeRun(context, run, active).finally(() => {
    active[Symbol.dispose]();
    if (context.active.get(run.id) === active) context.active.delete(run.id);
    context.work.signal();
  });
}
