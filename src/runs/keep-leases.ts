/** Keeps what this engine has claimed, and looks after what nobody keeps: lapsed claims, runs not admitted. */
import { messageOf } from '../base/errors.ts';
import type { EngineContext } from './engine-context.ts';
import { pause } from './wake.ts';

/** How many runs are admitted at a time. */
const admitBatch = 100;

/** Runs until `ending` aborts. Never throws. */
export async function keepLeases(context: EngineContext, ending: AbortSignal): Promise<void> {
  while (!ending.aborted) {
    await pause(context.config.leaseMs / 3, ending);
    if (ending.aborted) return;
    try {
      await renew(context);
      await recoverLapsed(context);
      await admitLeftovers(context);
    } catch (error) {
      context.logger.error({ error: messageOf(error) }, 'claims cannot be renewed');
    }
  }
}

/** Renews before anything is recovered: a claim of ours that lapsed while the store was away is still ours. */
async function renew({ store, clock, config, active }: EngineContext): Promise<void> {
  const { holder, leaseMs, cancelGraceMs } = config;
  const claims = [...active.values()].map(({ claim }) => claim);
  if (claims.length === 0) return;
  const renewed = await store.renewLeases({ holder, claims, now: clock.now(), leaseMs });
  for (const { id, reason } of renewed.cancelRequested) active.get(id)?.cancel(reason, cancelGraceMs);
  const asked = new Map(claims.map((claim) => [claim.id, claim]));
  for (const id of renewed.stale) {
    const run = active.get(id);
    if (run?.claim === asked.get(id)) run?.abandon();
  }
}

async function recoverLapsed({ store, clock, config, watch, work, logger }: EngineContext): Promise<void> {
  const { holder } = config;
  const { lost, requeued } = await store.recoverRuns({ holder, now: clock.now(), exclusive: false });
  if (lost.length + requeued.length === 0) return;
  logger.warn({ lost, requeued }, 'claims have lapsed');
  for (const id of [...lost, ...requeued]) watch.changed(id);
  work.signal();
}

/** Runs that were accepted, but whose admission failed or was cut short by a crash. */
export async function admitLeftovers({ store, work, watch }: EngineContext): Promise<void> {
  for (;;) {
    const ids = await store.listSubmitted(admitBatch);
    for (const id of ids) {
      await store.admitRun(id);
      watch.changed(id);
    }
    if (ids.length > 0) work.signal();
    if (ids.length < admitBatch) return;
  }
}
