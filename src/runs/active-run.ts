/**
 * A run that this engine executes: how others (cancel, dispatcher, stop) reach it. It has at most one wish; the
 * execution looks at it when it goes on or fails.
 */
import { SlipwayError } from '../base/errors.ts';
import type { Run } from '../model/run.ts';
import type { Execution } from '../starter/starter.ts';
import type { FencedWrite } from '../store/store.ts';

/** What became of the run otherwise than by its own end. */
export type Wish =
  /** Somebody wants it to end. */
  | { readonly kind: 'cancel'; readonly reason: string }
  /** The engine stops: back to the queue, if no user code has begun. */
  | { readonly kind: 'requeue' }
  /** Somebody else owns it now: end the local work, write nothing. */
  | { readonly kind: 'abandon' };

/** `preparing`: no user code ran. `starting`: none ran, but the store may say so. `begun`: it may have run. */
export type Stage = 'preparing' | 'starting' | 'begun';

/** Beyond its grace, how long a cancelled program's end may take to be reported, in ms. */
const cancelReportMs = 10_000;

export class ActiveRun implements Disposable {
  readonly claim: FencedWrite;
  readonly #abort = new AbortController();
  #wish: Wish | undefined;
  #execution: Execution | undefined;
  #stage: Stage = 'preparing';
  #timer: NodeJS.Timeout | undefined;

  constructor(run: Run) {
    if (!('lease' in run.status)) throw new TypeError(`the run ${run.id} is not claimed`);
    this.claim = { id: run.id, token: run.status.lease.token };
  }

  /** Aborts when the sandbox is to be destroyed at once. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  get wish(): Wish | undefined {
    return this.#wish;
  }

  get stage(): Stage {
    return this.#stage;
  }

  attach(execution: Execution): void {
    this.#execution = execution;
  }

  /** From now on the store may have the run as `running`. */
  beginStart(): void {
    this.#stage = 'starting';
  }

  /** Lets the program start. */
  go(): void {
    this.#stage = 'begun';
    this.#execution?.go();
  }

  cancel(reason: string, graceMs: number): void {
    if (this.#wish) return;
    this.#wish = { kind: 'cancel', reason };
    if (this.#stage !== 'begun') {
      this.end(new SlipwayError('cancelled', 'run-cancelled', reason));
      return;
    }
    this.#execution?.cancel(reason, graceMs);
    this.expectWithin(graceMs + cancelReportMs, 'the end of the cancelled program');
  }

  /** Back to the queue; a run that starts or has begun is left alone. */
  requeue(): void {
    if (this.#stage !== 'preparing' || this.#wish) return;
    this.#wish = { kind: 'requeue' };
    this.end(new SlipwayError('cancelled', 'engine-stopping', 'The control plane is stopping.'));
  }

  abandon(): void {
    this.#wish = { kind: 'abandon' };
    this.end(new SlipwayError('cancelled', 'run-taken', 'Somebody else has taken the run.'));
  }

  /** Destroys the sandbox at once, for this reason. */
  end(reason: SlipwayError): void {
    this.#abort.abort(reason);
  }

  /** Ends the run if what comes next takes longer; replaces the deadline before. */
  expectWithin(ms: number, what: string): void {
    clearTimeout(this.#timer);
    const message = `The starter did not report ${what} within ${Math.round(ms / 1000)} s.`;
    this.#timer = setTimeout(() => this.end(new SlipwayError('timeout', 'starter-silent', message)), ms);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}
