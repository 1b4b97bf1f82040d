/** Ends a program that breaks a limit in time or output, or that somebody cancels; remembers why. */
import type { Limits } from '../model/limits.ts';
import type { Outcome } from '../model/run.ts';
import type { Sandbox } from '../runtime/driver.ts';

export class RunGuard implements Disposable {
  readonly #sandbox: Sandbox;
  readonly #limits: Limits;
  #timer: NodeJS.Timeout | undefined;
  #outputBytes = 0;
  #verdict: Outcome | undefined;

  constructor(sandbox: Sandbox, limits: Limits) {
    this.#sandbox = sandbox;
    this.#limits = limits;
  }

  /** The first reason for which the program was ended from outside, if it was. */
  get verdict(): Outcome | undefined {
    return this.#verdict;
  }

  /** Starts the wall clock. */
  start(): void {
    const limitMs = this.#limits.wallTimeMs;
    this.#timer = setTimeout(() => this.#end({ kind: 'timed-out', limitMs }, 0), limitMs);
  }

  /** Counts output; returns the part that is within the limit and ends the program when there is more. */
  admitOutput(bytes: Uint8Array): Uint8Array {
    const room = Math.max(0, this.#limits.outputBytes - this.#outputBytes);
    this.#outputBytes += bytes.length;
    if (bytes.length <= room) return bytes;
    this.#end({ kind: 'output-limit', limitBytes: this.#limits.outputBytes }, 0);
    return bytes.subarray(0, room);
  }

  cancel(reason: string, graceMs: number): void {
    this.#end({ kind: 'cancelled', reason }, graceMs);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }

  #end(verdict: Outcome, graceMs: number): void {
    if (this.#verdict === undefined) this.#verdict = verdict;
    // A failure to stop shows where it matters: `wait` reports the sandbox as lost, `destroy` throws.
    this.#sandbox.stop(graceMs).catch(() => undefined);
  }
}
