/** What the routes need from the rest of Slipway; control-plane.ts hands it in. */
import type { Clock } from '../base/clock.ts';
import type { Digest } from '../base/digest.ts';
import type { EgressRule } from '../model/egress.ts';
import type { Limits } from '../model/limits.ts';
import type { LogRecord } from '../model/output-log.ts';
import type { Namespace, PrincipalId, Run, RunId, RunOrder } from '../model/run.ts';
import type { FollowOptions, RunUpdate } from '../runs/follow-run.ts';
import type { Starter } from '../starter/starter.ts';
import type { Blobs } from '../store/blobs.ts';
import type { RunPage, RunQuery, Store } from '../store/store.ts';
import type { TokenStore } from './issue-token.ts';

export interface HttpServices {
  readonly runs: RunService;
  readonly blobs: Blobs;
  readonly store: TokenStore & Pick<Store, 'findByTokenHash' | 'listTokens' | 'revokeToken' | 'check'>;
  readonly starter: Pick<Starter, 'probe' | 'listImages' | 'resolveImage'>;
  readonly clock: Clock;
  readonly settings: HttpSettings;
}

export interface HttpSettings {
  readonly version: string;
  /** What a run may use when it does not ask, and at most. */
  readonly defaultLimits: Limits;
  readonly ceilings: Limits;
  /** What the operator lets runs reach. */
  readonly egress: readonly EgressRule[];
  /** Whether the server listens on loopback TCP, so that only local names may be in the Host header. */
  readonly loopbackOnly: boolean;
  /** The largest JSON body, in bytes; larger files go through /v1/blobs. */
  readonly maxBodyBytes: number;
  /** The largest uploaded blob, in bytes. */
  readonly maxBlobBytes: number;
}

/** The engine of runs, as far as HTTP needs it. */
export interface RunService {
  /** Accepts a run; durable when it resolves. */
  submit(submission: Submission): Promise<Run>;
  get(id: RunId): Promise<Run | undefined>;
  list(query: RunQuery): Promise<RunPage>;
  cancel(id: RunId, reason: string): Promise<Run>;
  /** The finished run, or the run as it is when `signal` aborts. */
  waitFor(id: RunId, signal: AbortSignal): Promise<Run>;
  /** The captured output from its beginning; with `follow` it goes on until the run has ended. */
  readLog(id: RunId, options: ReadLogOptions): AsyncIterable<LogRecord>;
  /** State and output as they change, from a place on, until the run has finished. */
  follow(id: RunId, options: FollowOptions): AsyncIterable<RunUpdate>;
}

export interface ReadLogOptions {
  readonly follow: boolean;
  readonly signal: AbortSignal;
}

export interface Submission {
  readonly namespace: Namespace;
  readonly principal: PrincipalId;
  readonly order: RunOrder;
  readonly labels: Readonly<Record<string, string>>;
}

/** A stored file's content, by digest. */
export type ContentRef = { readonly digest: Digest; readonly sizeBytes: number };
