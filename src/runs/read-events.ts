/** An execution's events, in the order that the Starter port promises; a starter that breaks it is found out. */
import { orAborted } from '../base/abort.ts';
import { SlipwayError } from '../base/errors.ts';
import type { ExecutionEvent } from '../starter/starter.ts';

/** How long a starter may take to end its events after it was told to, in ms. */
const endingMs = 10_000;

/**
 * The events, until they end or `signal` aborts (its reason is thrown, after the starter has cleaned up or has
 * failed to do so in time).
 */
export async function* readEvents(
  events: AsyncIterable<ExecutionEvent>,
  signal: AbortSignal,
): AsyncGenerator<ExecutionEvent> {
  const iterator = events[Symbol.asyncIterator]();
  let pending: Promise<IteratorResult<ExecutionEvent>> | undefined;
  try {
    for (;;) {
      pending = iterator.next();
      const result = await orAborted(pending, signal);
      if (result.done) return;
      yield result.value;
    }
  } finally {
    await settleWithin(Promise.allSettled([pending, iterator.return?.()]), endingMs);
  }
}

async function settleWithin(work: Promise<unknown>, ms: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  await Promise.race([work.then(() => resolve()), promise]);
  clearTimeout(timer);
}

type EventType = ExecutionEvent['type'];

/** What may come after what; `exited` at any time before, for a run that was cancelled early. */
const followers: Readonly<Record<EventType | 'nothing', readonly EventType[]>> = {
  nothing: ['prepared', 'exited'],
  prepared: ['started', 'exited'],
  started: ['output', 'exited'],
  output: ['output', 'exited'],
  exited: ['file', 'skipped'],
  file: ['file', 'skipped'],
  skipped: ['file', 'skipped'],
};

/** Refuses events in an order that cannot be. */
export class EventOrder {
  #last: EventType | 'nothing' = 'nothing';

  /** @throws SlipwayError `starter-misbehaved` */
  check(event: ExecutionEvent): void {
    if (!followers[this.#last].includes(event.type)) {
      const message = `The starter reported "${event.type}" after "${this.#last}". Update the starter and the control plane to one version.`;
      throw new SlipwayError('internal', 'starter-misbehaved', message);
    }
    this.#last = event.type;
  }
}
