/** What every part of the engine works with. */
import type { Clock } from '../base/clock.ts';
import type { RunId } from '../model/run.ts';
import type { Starter } from '../starter/starter.ts';
import type { Blobs } from '../store/blobs.ts';
import type { Store } from '../store/store.ts';
import type { ActiveRun } from './active-run.ts';
import type { RunWatch } from './run-watch.ts';
import type { StarterHealth } from './starter-health.ts';
import type { Wake } from './wake.ts';

/** The part of pino's Logger that the engine uses. */
export interface EngineLogger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface RunEngineConfig {
  /** How many runs are executed at the same time. */
  readonly concurrency: number;
  /** A directory of this engine alone: the output of running programs. */
  readonly journalDir: string;
  /** Whether this is the only engine on the store, so that claims of any other are those of a dead one. */
  readonly exclusive: boolean;
  /** Names this process among others, for people; the engine makes it unique. */
  readonly holder?: string;
  /** How long a claim holds without renewal; renewed three times in that time. */
  readonly leaseMs?: number;
  /** How often a run is prepared at most, when the starter fails before the program has begun. */
  readonly maxAttempts?: number;
  /** How long a cancelled program may take to end by itself. */
  readonly cancelGraceMs?: number;
  /** How long the preparation of a sandbox may take. */
  readonly prepareTimeoutMs?: number;
  /** How much longer than its wall-clock limit a program may seem to run before the starter is given up. */
  readonly overrunMs?: number;
  /** How long the collection of its files may take. */
  readonly collectTimeoutMs?: number;
  /** How often is looked for work and changes that nobody told of. */
  readonly pollMs?: number;
}

export const defaultTimes = {
  holder: 'engine',
  leaseMs: 30_000,
  maxAttempts: 8,
  cancelGraceMs: 2000,
  prepareTimeoutMs: 120_000,
  overrunMs: 60_000,
  collectTimeoutMs: 600_000,
  pollMs: 1000,
} as const;

export interface EngineContext {
  readonly store: Store;
  readonly blobs: Blobs;
  readonly starter: Starter;
  readonly clock: Clock;
  readonly logger: EngineLogger;
  readonly config: Required<RunEngineConfig>;
  /** The runs that this engine executes now. */
  readonly active: Map<RunId, ActiveRun>;
  readonly watch: RunWatch;
  readonly starterHealth: StarterHealth;
  /** There may be work to claim. */
  readonly work: Wake;
  /** Aborts at the very end: no more waiting, whatever is not done stays undone. */
  readonly halt: AbortSignal;
}
