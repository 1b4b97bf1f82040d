/**
 * The Store port: everything that must survive. Asynchronous, in whole operations: no transaction leaves it,
 * and a promise that resolves means durable. Implementation: `sqlite/` (in a worker thread, group commit).
 * Not here: content of files and output (blobs.ts).
 *
 * Runs follow model/run.ts: every operation applies its `transition`, so a state that cannot be is refused
 * here too. A claimed run may be written only with its newest fencing token; an outdated one throws
 * SlipwayError `stale-token` (kind conflict) and changes nothing.
 */
import type { Principal, Token, TokenId } from '../model/principal.ts';
import type { Namespace, PrincipalId, Run, RunId, RunOrder, RunResult, RunState } from '../model/run.ts';

export interface Store extends AsyncDisposable {
  /** Accepts a run as `submitted`. @throws SlipwayError `run-exists`, `principal-not-found` */
  submitRun(run: NewRun): Promise<Run>;
  /** `submitted` → `queued`; a run in any other state is left alone and returned as it is. */
  admitRun(id: RunId): Promise<Run>;
  /** The `submitted` runs, oldest first: what a restarted control plane admits. */
  listSubmitted(limit: number): Promise<readonly RunId[]>;
  /** Takes up to `limit` queued runs, oldest first, each with a new fencing token. */
  claimRuns(claim: Claim): Promise<readonly Run[]>;
  /**
   * Extends the leases of the named claims, also lapsed ones that nobody has taken. A claim whose answer was
   * lost is not named, lapses, and is recovered.
   */
  renewLeases(renewal: Renewal): Promise<Renewed>;
  startRun(write: FencedWrite & { readonly at: number }): Promise<Run>;
  /** `preparing` → `queued` (or `cancelled`, if asked for); only if user code has certainly not begun. */
  requeueRun(write: FencedWrite): Promise<Run>;
  finishRun(write: FencedWrite & { readonly result: RunResult }): Promise<Run>;
  /**
   * Cancels a run that is not claimed yet; marks a claimed one `cancelRequested`, for its holder to end; leaves
   * a finished one alone. Returns the run as it is afterwards.
   */
  cancelRun(cancellation: { readonly id: RunId; readonly reason: string; readonly at: number }): Promise<Run>;
  /**
   * After a restart or on a lapsed lease: `preparing` runs are queued again (no user code ran), `running` ones
   * end as `lost`. With `exclusive`, every lease of another holder counts as lapsed.
   */
  recoverRuns(recovery: Recovery): Promise<Recovered>;
  getRun(id: RunId): Promise<Run | undefined>;
  /** Newest first. */
  listRuns(query: RunQuery): Promise<RunPage>;
  countRuns(query: { readonly states: readonly RunState[] }): Promise<number>;
  /** Whether some run refers to a blob, for the collection of garbage. */
  isBlobReferenced(digest: string): Promise<boolean>;

  /** Makes the namespace too, if this is its first principal. @throws SlipwayError `principal-exists` */
  createPrincipal(principal: Principal): Promise<void>;
  findPrincipal(query: {
    readonly namespace: Namespace;
    readonly name: string;
  }): Promise<Principal | undefined>;
  /** @throws SlipwayError `principal-not-found`, `token-exists` */
  createToken(token: Token): Promise<void>;
  /** The principal of a token that is not revoked. */
  findByTokenHash(hash: string): Promise<OwnedToken | undefined>;
  /** Of one namespace, revoked ones too, oldest first. */
  listTokens(query: { readonly namespace: Namespace }): Promise<readonly OwnedToken[]>;
  /**
   * From now on the token opens nothing; one that is revoked stays as it is.
   *
   * @throws SlipwayError `token-not-found`, also for one of another namespace
   */
  revokeToken(revocation: TokenRevocation): Promise<OwnedToken>;

  /** Whether a write would succeed now, for readiness; throws SlipwayError with the reason. */
  check(): Promise<void>;
}

export interface OwnedToken {
  readonly token: Token;
  readonly principal: Principal;
}

export interface TokenRevocation {
  readonly namespace: Namespace;
  readonly id: TokenId;
  readonly at: number;
}

export interface NewRun {
  readonly id: RunId;
  readonly namespace: Namespace;
  readonly principal: PrincipalId;
  readonly submittedAt: number;
  readonly order: RunOrder;
  readonly labels: Readonly<Record<string, string>>;
}

export interface Claim {
  readonly holder: string;
  readonly limit: number;
  readonly now: number;
  readonly leaseMs: number;
}

export interface Renewal {
  readonly holder: string;
  readonly claims: readonly FencedWrite[];
  readonly now: number;
  readonly leaseMs: number;
}

export interface Renewed {
  /** Those that somebody wants cancelled. */
  readonly cancelRequested: readonly { readonly id: RunId; readonly reason: string }[];
  /** Those that are no longer the holder's. */
  readonly stale: readonly RunId[];
}

export interface FencedWrite {
  readonly id: RunId;
  readonly token: number;
}

export interface Recovery {
  readonly holder: string;
  readonly now: number;
  readonly exclusive: boolean;
}

export interface Recovered {
  readonly lost: readonly RunId[];
  readonly requeued: readonly RunId[];
}

export interface RunQuery {
  readonly namespace: Namespace;
  readonly principal?: PrincipalId;
  readonly states?: readonly RunState[];
  /** At most this many; 1 to 1000. */
  readonly limit: number;
  /** Only runs older than this one. */
  readonly before?: RunId;
}

export interface RunPage {
  readonly runs: readonly Run[];
  /** Give it as `before` for the next page; absent on the last. */
  readonly next?: RunId;
}
