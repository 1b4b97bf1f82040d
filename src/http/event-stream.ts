/**
 * Server-sent events (HTML standard, section 9.2): their text, the comments that keep a silent connection alive, and
 * the end of one whose reader has stalled. What the events of a run are is routes/follow-run.ts.
 */

/** What a reader is told first: how long to wait before it connects again, in ms. It also sends the headers. */
export const streamStart = 'retry: 1000\n\n';

/** A comment: proves to both ends that the connection lives. */
export const heartbeat = ':\n\n';

export interface StreamEvent {
  /** One line. */
  readonly id: string;
  readonly event: string;
  readonly data: unknown;
}

/** JSON has no line breaks, so the data is one line. */
export function encodeEvent({ id, event, data }: StreamEvent): string {
  return `id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}

/** The same items, and undefined whenever none has come for `ms`. One item at a time is taken from the source. */
export async function* withPauses<Item>(
  source: AsyncIterable<Item>,
  ms: number,
): AsyncGenerator<Item | undefined> {
  const iterator = source[Symbol.asyncIterator]();
  let next = iterator.next();
  try {
    for (;;) {
      const result = await within(next, ms);
      if (result?.done) return;
      yield result?.value;
      if (result !== undefined) next = iterator.next();
    }
  } finally {
    next.catch(() => undefined); // nobody waits for it any more
    await iterator.return?.();
  }
}

async function within<Value>(work: Promise<Value>, ms: number): Promise<Value | undefined> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(resolve, ms, undefined);
  try {
    return await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** The same items; `close` is called when the reader takes none for `ms` although there is one. */
export async function* closeWhenStalled<Item>(
  source: AsyncIterable<Item>,
  ms: number,
  close: () => void,
): AsyncGenerator<Item> {
  for await (const item of source) {
    const timer = setTimeout(close, ms);
    try {
      yield item;
    } finally {
      clearTimeout(timer);
    }
  }
}
