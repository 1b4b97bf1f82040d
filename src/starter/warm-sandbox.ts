/** One started sandbox whose runner said *ready*: claimed once, or destroyed unused. */
import { SlipwayError } from '../base/errors.ts';
import type { RuntimeDriver, Sandbox, SandboxSpec } from '../runtime/driver.ts';
import { RunnerChannel } from './script-channel.ts';

export interface WarmSandbox extends AsyncDisposable {
  readonly sandbox: Sandbox;
  /** Its runner has said *ready*. */
  readonly runner: RunnerChannel;
  /** Aborts when the sandbox has ended by itself: it is of no use any more. */
  readonly ended: AbortSignal;
  /** What it holds when it is ready, in bytes; null where that cannot be measured. */
  readonly memoryBytes: number | null;
}

/**
 * Starts a sandbox and waits for its runner.
 *
 * @throws SlipwayError `runner-not-ready`, and what the driver throws; nothing is left then
 */
export async function startWarm(
  driver: RuntimeDriver,
  spec: SandboxSpec,
  signal: AbortSignal,
): Promise<WarmSandbox> {
  const sandbox = await driver.create(spec, signal);
  try {
    await sandbox.start(signal);
    const runner = new RunnerChannel(sandbox.channel());
    const refusal = await runner.ready();
    if (refusal !== undefined) throw notReady(refusal);
    const { memoryBytes } = await sandbox.beginUsage();
    return {
      sandbox,
      runner,
      memoryBytes,
      ended: endOf(sandbox),
      [Symbol.asyncDispose]: () => sandbox.destroy(),
    };
  } catch (error) {
    await sandbox.destroy();
    throw error;
  }
}

function endOf(sandbox: Sandbox): AbortSignal {
  const ended = new AbortController();
  const abort = () => ended.abort();
  sandbox.wait(new AbortController().signal).then(abort, abort);
  return ended.signal;
}

function notReady(why: string): SlipwayError {
  return new SlipwayError(
    'internal',
    'runner-not-ready',
    `The runner of the image did not get ready: ${why}`,
  );
}
