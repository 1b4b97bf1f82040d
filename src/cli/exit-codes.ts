/** The exit status of `slipway`; docs/cli.md lists them. */
import type { ErrorKind } from '../base/errors.ts';
import { isSlipwayError } from '../base/errors.ts';
import type { Outcome } from '../model/run.ts';
import { signalNumber } from '../model/usage.ts';

export const exitCodes = {
  ok: 0,
  /** A command other than `run` failed. */
  failure: 1,
  /** The command line, the configuration or a file named there is wrong, or what is asked for is refused. */
  usage: 2,
  outputLimit: 123,
  timedOut: 124,
  /** Slipway or the server failed, so that the program did not run to its end. */
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

/** What the caller can put right by asking for something else, or as somebody else. */
const refusals: ReadonlySet<ErrorKind> = new Set([
  'invalid-input',
  'unauthenticated',
  'forbidden',
  'not-found',
  'unsupported',
  'too-large',
]);

/** For what was thrown: refusals of what the caller asks for are told apart from failures. */
export function exitCodeOfError(error: unknown, failure: number): number {
  return isSlipwayError(error) && refusals.has(error.kind) ? exitCodes.usage : failure;
}
