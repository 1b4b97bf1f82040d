/** The caller's side of an execution: `go` lets the program start, `cancel` ends it, at any moment. */
import { abortError } from '../base/abort.ts';

/** What to do when somebody cancels a program that runs. */
type CancelRunning = (reason: string, graceMs: number) => void;

export class Permission {
  readonly #granted = Promise.withResolvers<void>();
  #reason: string | undefined;
  #cancelRunning: CancelRunning | undefined;
  readonly #early = new AbortController();

  /** Aborts when the execution is cancelled before the program was started. */
  get cancelledEarly(): AbortSignal {
    return this.#early.signal;
  }

  /** Why the execution was cancelled, if it was. */
  get reason(): string | undefined {
    return this.#reason;
  }

  go(): void {
    this.#granted.resolve();
  }

  cancel(reason: string, graceMs: number): void {
    this.#reason ??= reason;
    if (this.#cancelRunning) this.#cancelRunning(reason, graceMs);
    else this.#early.abort();
  }

  /** From now on a cancellation ends the running program. */
  whenRunning(cancel: CancelRunning): void {
    this.#cancelRunning = cancel;
  }

  /** Resolves after `go`. @throws the signal's reason */
  async wait(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    await Promise.race([this.#granted.promise, abortError(signal)]);
  }
}
