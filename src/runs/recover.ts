/**
 * What an engine does when it starts: every run that a dead engine left gets its true state, and the output of
 * lost ones is kept as far as it came.
 */
import { createReadStream } from 'node:fs';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isSlipwayError } from '../base/errors.ts';
import type { FencedWrite } from '../store/store.ts';
import type { EngineContext } from './engine-context.ts';
import { parseJournalName } from './journal-path.ts';
import { admitLeftovers } from './keep-leases.ts';

export async function recover(context: EngineContext): Promise<void> {
  const { store, clock, config, logger } = context;
  await mkdir(config.journalDir, { recursive: true, mode: 0o700 });
  if (config.exclusive) await saveJournals(context);
  const { holder, exclusive } = config;
  const { lost, requeued } = await store.recoverRuns({ holder, now: clock.now(), exclusive });
  if (lost.length + requeued.length > 0)
    logger.warn({ lost, requeued }, 'runs of an earlier engine recovered');
  await admitLeftovers(context);
}

/** The output that programs had written when the engine before this one ended. */
async function saveJournals(context: EngineContext): Promise<void> {
  for (const name of await readdir(context.config.journalDir)) {
    const path = join(context.config.journalDir, name);
    const claim = parseJournalName(name);
    if (claim) await saveJournal(context, claim, path);
    await rm(path, { force: true });
  }
}

async function saveJournal(context: EngineContext, claim: FencedWrite, path: string): Promise<void> {
  const { store, blobs, clock, logger } = context;
  const run = await store.getRun(claim.id);
  if (run?.status.state !== 'running' || run.status.lease.token !== claim.token) return;
  const { digest } = await blobs.put(createReadStream(path), { maxBytes: Number.MAX_SAFE_INTEGER });
  const reason = 'The control plane that ran it ended; its output is kept as far as it had come.';
  const outcome = { kind: 'lost', reason } as const;
  const result = { outcome, finishedAt: clock.now(), usage: null, log: digest, files: [], skipped: [] };
  try {
    await store.finishRun({ ...claim, result });
    logger.warn({ run: claim.id }, 'a run of an earlier engine is lost');
  } catch (error) {
    if (!isSlipwayError(error, 'stale-token')) throw error;
  }
}
