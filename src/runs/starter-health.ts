/** Whether the starter answers: while it does not, the engine claims one run at a time, ever more rarely. */

const firstDelayMs = 200;
const longestDelayMs = 10_000;

export class StarterHealth {
  #failures = 0;

  failed(): void {
    this.#failures++;
  }

  answered(): void {
    this.#failures = 0;
  }

  /** How long to wait before it is asked again, in ms; 0 while it answers. */
  get delayMs(): number {
    return this.#failures === 0 ? 0 : Math.min(longestDelayMs, firstDelayMs * 2 ** (this.#failures - 1));
  }
}
