/** Turns what was seen of a sandbox from outside into its exit status, or into a failure of the platform. */
import { SlipwayError } from '../../../base/errors.ts';
import type { ExitStatus, Usage } from '../../../model/usage.ts';
import { lastError, programEnd, type StartFailure, startFailure } from './exit.ts';
import type { RuntimeExit } from './runtime-process.ts';

/** What is known when everything inside is dead. */
export interface Evidence {
  /** The program that was to be run, for messages. */
  readonly program: string;
  readonly exit: RuntimeExit;
  readonly programStarted: boolean;
  /** The runtime's log. */
  readonly log: string;
  /** What it printed where it did not start the program. */
  readonly complaint: string;
  /** This driver killed it. */
  readonly killed: boolean;
  readonly usage: Usage;
}

export interface Verdict {
  readonly status: ExitStatus;
  /** A line for stderr where the program could not be executed. */
  readonly message?: string;
}

const notFoundCode = 127;
const notExecutableCode = 126;
const killedCode = 137;

/** @throws SlipwayError `sandbox-failed` where the platform and not the program failed */
export function judge(evidence: Evidence): Verdict {
  const { exit, killed, usage } = evidence;
  if (exit.code === null) return { status: killed ? killedStatus(usage) : runtimeLost(evidence) };
  if (!evidence.programStarted) return killed ? { status: killedStatus(usage) } : judgeStart(evidence);
  const trouble = lastError(evidence.log);
  if (trouble !== undefined && !killed) return judgeStart(evidence);
  const end = programEnd(exit.code);
  const failed = end.kind === 'signaled' || end.code !== 0;
  if (failed && (usage.oomKills ?? 0) > 0) return { status: { kind: 'oom-killed', code: exit.code, usage } };
  return { status: { ...end, usage } };
}

/** A sandbox that was ended before anything ran. */
export function killedStatus(usage: Usage): ExitStatus {
  return { kind: 'signaled', signal: 'SIGKILL', usage };
}

function runtimeLost(evidence: Evidence): ExitStatus {
  const how = evidence.exit.signal ?? 'an unknown cause';
  return { kind: 'lost', reason: `the runtime's process was ended by ${how}`, usage: evidence.usage };
}

function judgeStart(evidence: Evidence): Verdict {
  const { usage } = evidence;
  const failure = startFailure(evidence.log, evidence.program, evidence.complaint);
  switch (failure.kind) {
    case 'not-found':
      return couldNotExecute(failure, notFoundCode, usage);
    case 'not-executable':
      return couldNotExecute(failure, notExecutableCode, usage);
    case 'out-of-memory':
      return { status: { kind: 'oom-killed', code: killedCode, usage } };
    case 'platform':
      if ((usage.oomKills ?? 0) > 0) return { status: { kind: 'oom-killed', code: killedCode, usage } };
      throw sandboxFailed(failure);
    default:
      return failure satisfies never;
  }
}

function couldNotExecute(failure: StartFailure, code: number, usage: Usage): Verdict {
  return { status: { kind: 'exited', code, usage }, message: `slipway: ${failure.message}\n` };
}

function sandboxFailed(failure: StartFailure): SlipwayError {
  return new SlipwayError(
    'internal',
    'sandbox-failed',
    `The runtime could not make the sandbox: ${failure.message}. Run "slipway doctor" to check this host.`,
  );
}
