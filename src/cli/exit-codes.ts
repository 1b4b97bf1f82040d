/** The exit status of `slipway`; docs/cli.md lists them. */
import { isSlipwayError } from '../base/errors.ts';
import type { Outcome } from '../model/run.ts';
import { signalNumber } from '../model/usage.ts';

export const exitCodes = {
  ok: 0,
  /** A command other than `run` failed. */
  failure: 1,
  /** The command line, the configuration or a file named there is wrong. */
  usage: 2,
  outputLimit: 123,
  timedOut: 124,
  /** Slipway itself failed to run the program. */
  platform: 125,
  cancelled: 130,
  oomKilled: 137,
  /** Nobody reads our output any more: as a program that dies of SIGPIPE. */
  brokenPipe: 141,
} as const;

/** The script's own status where it has one, and what `timeout` and shells use for the rest. */
export function exitCodeOf(outcome: Outcome): number {
  switch (outcome.kind) {
    case 'succeeded':
      return exitCodes.ok;
    case 'failed':
      return outcome.exitCode;
    case 'signaled':
      return 128 + signalNumber(outcome.signal);
    case 'timed-out':
      return exitCodes.timedOut;
    case 'oom-killed':
      return exitCodes.oomKilled;
    case 'output-limit':
      return exitCodes.outputLimit;
    case 'cancelled':
      return exitCodes.cancelled;
    case 'lost':
    case 'platform-error':
      return exitCodes.platform;
    default:
      return outcome satisfies never;
  }
}

/** For what was thrown: mistakes of the caller are told apart from failures. */
export function exitCodeOfError(error: unknown, failure: number): number {
  return isSlipwayError(error) && error.kind === 'invalid-input' ? exitCodes.usage : failure;
}
