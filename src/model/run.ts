/**
 * A run: one execution of code, whoever asked. This file is its life as types and one pure function; it does
 * no I/O (store/ keeps runs, runs/ drives them). The diagram is in ARCHITECTURE.md.
 *
 *   submitted ─▶ queued ─▶ preparing ─▶ running ─▶ succeeded │ failed │ signaled │ timed-out │ oom-killed
 *       │           │  ◀───────┘ (requeue: no user code ran)   │ output-limit │ cancelled │ lost
 *       └───────────┴──────────┴─────────▶ cancelled │ platform-error
 */
import type { Digest } from '../base/digest.ts';
import { SlipwayError } from '../base/errors.ts';
import type { Id } from '../base/ids.ts';
import type { EgressTarget } from './egress.ts';
import type { Limits } from './limits.ts';
import type { Program } from './program.ts';
import type { SignalName, Usage } from './usage.ts';

export type RunId = Id<'run'>;
export type PrincipalId = Id<'principal'>;
/** A separate set of runs, tables, functions and scripts; `default` until an operator makes more. */
export type Namespace = string;

/** What was asked for; it never changes after submission. */
export interface RunOrder {
  readonly program: Program;
  /** Pinned at submission. */
  readonly image: Digest;
  /** The name by which the caller asked for it, for people. */
  readonly imageName: string;
  readonly limits: Limits;
  /** Input files below /data, by digest of their content in the Blobs port. */
  readonly inputs: readonly FileRef[];
  /** The digest of what the program reads from stdin, if anything. */
  readonly stdin?: Digest;
  /** Patterns of the files in /work to collect (`**`, `*.png`); none: nothing is collected. */
  readonly outputs: readonly string[];
  /** The only hosts that it may reach, through the egress proxy; none: it has no network at all. */
  readonly egress?: readonly EgressTarget[];
}

/** A file by its content: a path relative to /data or /work, with `/` between the parts. */
export interface FileRef {
  readonly path: string;
  readonly digest: Digest;
  readonly sizeBytes: number;
}

/** A file that the program left in /work, collected. */
export type OutputFile = FileRef;

/** A path in /work that was not collected, and why. */
export interface SkippedFile {
  readonly path: string;
  readonly reason: string;
}

/** How a run ended. What user code did wrong is told here, never thrown. */
export type Outcome =
  | { readonly kind: 'succeeded' }
  | { readonly kind: 'failed'; readonly exitCode: number }
  | { readonly kind: 'signaled'; readonly signal: SignalName }
  | { readonly kind: 'timed-out'; readonly limitMs: number }
  | { readonly kind: 'oom-killed'; readonly limitBytes: number }
  | { readonly kind: 'output-limit'; readonly limitBytes: number }
  | { readonly kind: 'cancelled'; readonly reason: string }
  | { readonly kind: 'lost'; readonly reason: string }
  | { readonly kind: 'platform-error'; readonly code: string; readonly message: string };

export type OutcomeKind = Outcome['kind'];

/** What a finished run left behind. */
export interface RunResult {
  readonly outcome: Outcome;
  readonly finishedAt: number;
  readonly usage: Usage | null;
  /** The captured output, a blob in the format of model/output-log.ts; null if no program ran. */
  readonly log: Digest | null;
  readonly files: readonly OutputFile[];
  readonly skipped: readonly SkippedFile[];
}

/** The right to write to a claimed run: only the holder with the newest token may. Times in ms since 1970. */
export interface Lease {
  readonly holder: string;
  readonly token: number;
  readonly expiresAt: number;
}

/** Where in its life a run is; each state carries only what exists then. Times in ms since 1970. */
export type RunStatus =
  | { readonly state: 'submitted' }
  | { readonly state: 'queued' }
  | { readonly state: 'preparing'; readonly lease: Lease }
  | { readonly state: 'running'; readonly lease: Lease; readonly startedAt: number }
  | { readonly state: OutcomeKind; readonly startedAt: number | null; readonly result: RunResult };

export type RunState = RunStatus['state'];

export interface Run {
  readonly id: RunId;
  readonly namespace: Namespace;
  readonly principal: PrincipalId;
  readonly submittedAt: number;
  readonly order: RunOrder;
  readonly labels: Readonly<Record<string, string>>;
  /** How often it was claimed; a run whose user code may have started is never claimed again. */
  readonly attempts: number;
  readonly cancelRequested: boolean;
  readonly status: RunStatus;
}

/** What can happen to a run. */
export type RunEvent =
  | { readonly type: 'admit' }
  | { readonly type: 'claim'; readonly lease: Lease }
  | { readonly type: 'renew'; readonly lease: Lease }
  | { readonly type: 'requeue' }
  | { readonly type: 'start'; readonly at: number }
  | { readonly type: 'finish'; readonly result: RunResult };

export const outcomeKinds = [
  'succeeded',
  'failed',
  'signaled',
  'timed-out',
  'oom-killed',
  'output-limit',
  'cancelled',
  'lost',
  'platform-error',
] as const satisfies readonly OutcomeKind[];

export const runStates = [
  'submitted',
  'queued',
  'preparing',
  'running',
  ...outcomeKinds,
] as const satisfies readonly RunState[];

/** Outcomes that a run can have before its program started. */
const earlyOutcomes: ReadonlySet<OutcomeKind> = new Set(['cancelled', 'platform-error']);

export function isFinished(status: RunStatus): status is Extract<RunStatus, { result: RunResult }> {
  return 'result' in status;
}

/**
 * The state after an event.
 *
 * @throws SlipwayError `bad-transition` when the event cannot happen in that state
 */
export function transition(status: RunStatus, event: RunEvent): RunStatus {
  switch (event.type) {
    case 'admit':
      if (status.state === 'submitted') return { state: 'queued' };
      break;
    case 'claim':
      if (status.state === 'queued') return { state: 'preparing', lease: event.lease };
      break;
    case 'renew':
      if (mayRenew(status, event.lease)) return { ...status, lease: event.lease };
      break;
    case 'requeue':
      if (status.state === 'preparing') return { state: 'queued' };
      break;
    case 'start':
      if (status.state === 'preparing') return { state: 'running', lease: status.lease, startedAt: event.at };
      break;
    case 'finish':
      if (mayFinish(status, event.result.outcome.kind)) return finished(status, event.result);
      break;
    default:
      event satisfies never;
  }
  throw new SlipwayError(
    'conflict',
    'bad-transition',
    `A run that is ${status.state} cannot ${event.type}.`,
    {
      details: { state: status.state, event: event.type },
    },
  );
}

/** A lease is extended by its holder; another one needs a claim. */
function mayRenew(status: RunStatus, lease: Lease): status is Extract<RunStatus, { lease: Lease }> {
  return 'lease' in status && status.lease.token === lease.token && status.lease.holder === lease.holder;
}

function mayFinish(status: RunStatus, outcome: OutcomeKind): boolean {
  if (isFinished(status)) return false;
  return status.state === 'running' || earlyOutcomes.has(outcome);
}

function finished(status: RunStatus, result: RunResult): RunStatus {
  return {
    state: result.outcome.kind,
    startedAt: status.state === 'running' ? status.startedAt : null,
    result,
  };
}
