/**
 * One run, from its claim to its end. A program starts only when the store has it as `running`: so a crash
 * before that queues it again and one after that loses it, and nothing runs twice.
 */
import { isSlipwayError, messageOf, SlipwayError } from '../base/errors.ts';
import type { Outcome, Run, RunResult } from '../model/run.ts';
import type { Usage } from '../model/usage.ts';
import type { ExecutionEvent } from '../starter/starter.ts';
import type { ActiveRun } from './active-run.ts';
import { FileCollector } from './collect-files.ts';
import { OutputCollector } from './collect-output.ts';
import type { EngineContext } from './engine-context.ts';
import { createFeed, toExecutionOrder } from './feed.ts';
import { journalPath } from './journal-path.ts';
import { judgeFailure, mayPassLater, type Verdict } from './judge-failure.ts';
import { persist } from './persist.ts';
import { EventOrder, readEvents } from './read-events.ts';
import { settleRun, storeLog } from './settle-run.ts';

/** What is known of an execution so far. */
interface Progress {
  readonly run: Run;
  readonly active: ActiveRun;
  readonly output: OutputCollector;
  readonly files: FileCollector;
  exited: { readonly outcome: Outcome; readonly usage: Usage } | undefined;
}

/** Executes a claimed run and stores what became of it. Never throws. */
export async function executeRun(context: EngineContext, run: Run, active: ActiveRun): Promise<void> {
  try {
    await using progress = startProgress(context, run, active);
    const verdict = await perform(context, progress);
    if (verdict === 'requeue') await settleRun(context, active.claim, verdict);
    else if (verdict !== 'abandon') {
      await settleRun(context, active.claim, await toResult(context, progress, verdict));
    }
    await progress.output.remove();
  } catch (error) {
    context.logger.error({ run: run.id, error: messageOf(error) }, 'what became of a run cannot be stored');
  } finally {
    context.watch.changed(run.id);
  }
}

function startProgress(context: EngineContext, run: Run, active: ActiveRun): Progress & AsyncDisposable {
  const output = new OutputCollector({
    path: journalPath(context.config.journalDir, active.claim),
    keptBytes: run.order.limits.keptOutputBytes,
    onGrown: () => context.watch.changed(run.id),
    logger: context.logger,
  });
  const files = new FileCollector(context.blobs, run.order.limits);
  const dispose = () => output[Symbol.asyncDispose]();
  return { run, active, output, files, exited: undefined, [Symbol.asyncDispose]: dispose };
}

/** The execution itself; failures of the platform become a verdict. */
async function perform(context: EngineContext, progress: Progress): Promise<Verdict> {
  const { run, active } = progress;
  try {
    assertMayTry(context, run);
    active.expectWithin(context.config.prepareTimeoutMs, 'a prepared sandbox');
    active.signal.throwIfAborted();
    const { starter, blobs } = context;
    const execution = starter.execute(toExecutionOrder(run), createFeed(run, blobs), active.signal);
    active.attach(execution);
    const order = new EventOrder();
    for await (const event of readEvents(execution.events, active.signal)) {
      order.check(event);
      await handle(context, progress, event);
    }
    return judgeEnd(progress);
  } catch (error) {
    return await giveUp(context, progress, error);
  }
}

/**
 * For attempts that nobody saw the end of; the last of the others ends with its own reason.
 *
 * @throws SlipwayError `too-many-attempts`
 */
function assertMayTry({ config }: EngineContext, run: Run): void {
  if (run.attempts <= config.maxAttempts) return;
  const message = `The sandbox could not be prepared in ${config.maxAttempts} attempts. See the log of the service, then submit the run again.`;
  throw new SlipwayError('internal', 'too-many-attempts', message);
}

async function handle(context: EngineContext, progress: Progress, event: ExecutionEvent): Promise<void> {
  const { active, run, output, files } = progress;
  switch (event.type) {
    case 'prepared':
      context.starterHealth.answered();
      return await startProgram(context, progress);
    case 'started':
      return;
    case 'output':
      return await output.write(event.stream, event.bytes, active.signal);
    case 'exited':
      progress.exited = { outcome: event.outcome, usage: event.usage };
      return active.expectWithin(context.config.collectTimeoutMs, `all files of the run ${run.id}`);
    case 'file':
      return await files.take(event);
    case 'skipped':
      return files.skip(event.path, event.reason);
    default:
      event satisfies never;
  }
}

/** Makes the run durably `running`, then lets its program start, unless somebody wants it cancelled. */
async function startProgram(context: EngineContext, { active, run }: Progress): Promise<void> {
  active.beginStart();
  const started = await persist(() => startOnce(context, active), {
    logger: context.logger,
    signal: active.signal,
    what: `The start of the run ${run.id} cannot be stored`,
  });
  context.watch.changed(run.id);
  active.signal.throwIfAborted();
  if (started.cancelRequested) active.cancel(await findCancelReason(context, active), 0);
  active.signal.throwIfAborted();
  active.expectWithin(run.order.limits.wallTimeMs + context.config.overrunMs, 'the end of the program');
  active.go();
}

async function findCancelReason(
  { store, clock, config }: EngineContext,
  { claim }: ActiveRun,
): Promise<string> {
  const { holder, leaseMs } = config;
  const { cancelRequested } = await store.renewLeases({ holder, claims: [claim], now: clock.now(), leaseMs });
  return cancelRequested[0]?.reason ?? 'cancelled';
}

/** A start whose answer was lost is found to have happened. */
async function startOnce({ store, clock }: EngineContext, { claim }: ActiveRun): Promise<Run> {
  try {
    return await store.startRun({ ...claim, at: clock.now() });
  } catch (error) {
    const run = isSlipwayError(error, 'bad-transition') ? await store.getRun(claim.id) : undefined;
    if (run?.status.state === 'running' && run.status.lease.token === claim.token) return run;
    throw error;
  }
}

/** The starter has sent everything. */
function judgeEnd({ exited, active, files, run }: Progress): Verdict {
  if (!exited) {
    throw new SlipwayError(
      'internal',
      'starter-misbehaved',
      'The starter ended without telling how the program ended.',
    );
  }
  const { outcome } = exited;
  if (active.stage !== 'begun' && outcome.kind !== 'cancelled' && outcome.kind !== 'platform-error') {
    const message = `The starter reported the outcome "${outcome.kind}" of a program that was never started.`;
    return { kind: 'platform-error', code: 'starter-misbehaved', message };
  }
  return files.failure === undefined ? outcome : resultsMissing(outcome, files.failure, run);
}

async function giveUp(context: EngineContext, progress: Progress, error: unknown): Promise<Verdict> {
  const { run, active, exited } = progress;
  const reason = messageOf(error);
  if (exited && active.wish?.kind !== 'abandon') {
    return run.order.outputs.length === 0 ? exited.outcome : resultsMissing(exited.outcome, reason, run);
  }
  const verdict = judgeFailure(active, error, run.attempts >= context.config.maxAttempts);
  context.logger.warn(
    { run: run.id, attempt: run.attempts, verdict, reason },
    'a run was ended from outside',
  );
  if (verdict === 'requeue' && mayPassLater(error)) context.starterHealth.failed();
  return verdict;
}

/** The program came to its end, its files did not come to us. */
function resultsMissing(outcome: Outcome, reason: string, run: Run): Outcome {
  const message = `The program ended (${outcome.kind}), but not all of its files could be stored: ${reason} Submit the run ${run.id} again.`;
  return { kind: 'platform-error', code: 'results-missing', message };
}

async function toResult(context: EngineContext, progress: Progress, outcome: Outcome): Promise<RunResult> {
  const { run, active, output, files, exited } = progress;
  return {
    outcome,
    finishedAt: context.clock.now(),
    usage: exited && active.stage === 'begun' ? exited.usage : null,
    log: active.stage === 'begun' ? await storeLog(context, run, output) : null,
    files: files.files,
    skipped: files.skipped,
  };
}
