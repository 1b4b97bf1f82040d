/** Waiting for a condition, with a deadline that nothing that works ever reaches. */
import { setTimeout as delay } from 'node:timers/promises';

export interface UntilOptions {
  /** 30 s unless told. */
  readonly deadlineMs?: number;
  /** Told with the failure: what was seen instead. */
  readonly onFailure?: () => string;
}

type Falsy = false | 0 | '' | null | undefined;

/**
 * Asks again and again until the answer is true; what `ask` throws is thrown.
 *
 * @param what the condition, for the failure's message
 */
export async function until<Value>(
  what: string,
  ask: () => Value | Promise<Value>,
  { deadlineMs = 30_000, onFailure = () => '' }: UntilOptions = {},
): Promise<Exclude<Value, Falsy>> {
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    const answer = await ask();
    if (answer) return answer as Exclude<Value, Falsy>; // it is truthy
    if (performance.now() > deadline) {
      throw new Error(`Not within ${deadlineMs / 1000} s: ${what}. ${onFailure()}`);
    }
    await delay(20);
  }
}
