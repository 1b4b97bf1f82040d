/** The outcome of a run from what was seen outside; the runner's word only settles what outside is ambiguous. */
import type { Limits } from '../model/limits.ts';
import type { Outcome } from '../model/run.ts';
import { type ExitStatus, signalNumber } from '../model/usage.ts';
import type { RunnerReport } from './script-channel.ts';

export interface Evidence {
  /** How the sandbox ended, measured outside. */
  readonly status: ExitStatus;
  /** Why we ended it, if we did. */
  readonly verdict: Outcome | undefined;
  /** What the runner said; undefined for a command. Hostile until it agrees with `status`. */
  readonly report: RunnerReport | undefined;
  readonly limits: Limits;
}

export function judgeOutcome({ status, verdict, report, limits }: Evidence): Outcome {
  if (verdict !== undefined) return verdict;
  if (status.kind === 'oom-killed') return { kind: 'oom-killed', limitBytes: limits.memoryBytes };
  if (status.kind === 'lost') return { kind: 'lost', reason: status.reason };
  if (report !== undefined && report.failure !== undefined) return runnerFailed(report.failure);
  if (status.kind === 'exited') return exited(status.code);
  const code = 128 + signalNumber(status.signal);
  // A runtime reports death by a signal and `exit 139` alike; the runner saw which it was.
  if (report?.exit?.kind === 'code' && report.exit.code === code) return exited(code);
  return { kind: 'signaled', signal: status.signal };
}

function exited(code: number): Outcome {
  return code === 0 ? { kind: 'succeeded' } : { kind: 'failed', exitCode: code };
}

function runnerFailed(failure: string): Outcome {
  return {
    kind: 'platform-error',
    code: 'runner-failed',
    message: `The runner of the image did not run the script: ${failure}`,
  };
}
