/** Names to addresses, by the host's own resolver (its hosts file too), as the egress proxy needs it. */
import { lookup } from 'node:dns/promises';

/** All addresses of a name; rejects if there are none, or none are found in time. */
export type Resolve = (name: string, signal: AbortSignal) => Promise<readonly string[]>;

/** Look-ups hold threads that reading and writing files needs too, and a wildcard lets a sandbox ask for any name. */
const maxLookups = 2;

/** One for the whole starter: look-ups over all runs wait for each other. */
export function createSystemResolver(): Resolve {
  let running = 0;
  const waiting: (() => void)[] = [];
  const release = () => {
    running -= 1;
    waiting.shift()?.();
  };
  return async (name, signal) => {
    while (running >= maxLookups) await turn(waiting, signal);
    signal.throwIfAborted();
    running += 1;
    // The slot is free when the look-up has really ended, not when its caller gives up.
    const found = lookup(name, { all: true, order: 'verbatim' }).finally(release);
    return (await orAborted(found, signal)).map(({ address }) => address);
  };
}

async function turn(waiting: (() => void)[], signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  waiting.push(resolve);
  try {
    await orAborted(promise, signal);
  } finally {
    const at = waiting.indexOf(resolve);
    if (at >= 0) waiting.splice(at, 1);
    else if (signal.aborted) waiting.shift()?.(); // our turn came when we had gone: the next one's
  }
}

async function orAborted<Result>(promise: Promise<Result>, signal: AbortSignal): Promise<Result> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
    aborted.catch(() => undefined);
    promise.catch(() => undefined);
  }
}
