/** Waiting for something to happen: without missing it, and never longer than asked. */

/** Something that happens now and then; whoever waits learns of it, also if it happened just before. */
export class Wake {
  #happened = false;
  #waiter: (() => void) | undefined;

  /** Wakes the one who waits, or who will wait next. */
  signal(): void {
    this.#happened = true;
    this.#waiter?.();
  }

  /** Resolves when it happened since the last wait, when `ms` are over, or when `signal` aborts. One waiter. */
  async wait(ms: number, signal: AbortSignal): Promise<void> {
    if (!this.#happened) {
      await pause(ms, signal, (wake) => {
        this.#waiter = wake;
      });
      this.#waiter = undefined;
    }
    this.#happened = false;
  }
}

/** Resolves after `ms` or when `signal` aborts; `arm` gets a function that ends it earlier. */
export async function pause(
  ms: number,
  signal: AbortSignal,
  arm: (wake: () => void) => void = () => undefined,
): Promise<void> {
  if (signal.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  const wake = () => resolve();
  signal.addEventListener('abort', wake, { once: true });
  arm(wake);
  await promise;
  clearTimeout(timer);
  signal.removeEventListener('abort', wake);
}
