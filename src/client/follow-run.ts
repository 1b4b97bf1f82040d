/**
 * A run as it happens, over connections that may break: after a loss it goes on behind the last event that came
 * whole, so nothing is lost and nothing comes twice, also when the service was restarted meanwhile.
 */
import type { IncomingMessage } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import type { RunSummary } from '../api/run-view.ts';
import { runEventSchema } from '../api/run-view.ts';
import { isSlipwayError, messageOf, SlipwayError } from '../base/errors.ts';
import type { LogRecord } from '../model/output-log.ts';
import type { StreamEvent } from './event-stream.ts';
import { readEventStream } from './event-stream.ts';
import { toLogRecord } from './log-lines.ts';
import { badReply } from './transport.ts';

/** What happens to a run; `finished` is the last. */
export type RunUpdate =
  | { readonly kind: 'state'; readonly run: RunSummary }
  | { readonly kind: 'finished'; readonly run: RunSummary }
  | LogRecord;

export interface FollowOptions {
  readonly signal?: AbortSignal | undefined;
  /** Told once for each loss of the connection, with the reason. */
  readonly onLost?: ((reason: string) => void) | undefined;
}

/** Opens the events of a run, those behind the event of this id. Rejects as the client's other requests do. */
export type OpenEvents = (lastEventId: string | undefined) => Promise<IncomingMessage>;

/** The server sends a comment every 15 s; a connection that is silent for longer is dead, in ms. */
const silenceMs = 45_000;
/** A server that cannot be reached for so long is given up, in ms. */
const giveUpMs = 5 * 60_000;
const firstDelayMs = 100;
const longestDelayMs = 5000;

/**
 * Follows until the run has finished. The first connection is tried once; every later one again and again.
 *
 * @throws SlipwayError `server-unreachable` after five minutes, `bad-reply`, or what the server says (`run-not-found`)
 */
export async function* followRun(open: OpenEvents, options: FollowOptions): AsyncGenerator<RunUpdate> {
  const place: Place = { id: undefined, lostAt: undefined, failures: 0 };
  for (;;) {
    try {
      yield* readUpdates(await open(place.id), place);
      return;
    } catch (error) {
      options.signal?.throwIfAborted();
      if (!mayPass(error) || isGivenUp(place)) throw error;
      if (place.lostAt === undefined) options.onLost?.(toLost(error).message);
      place.lostAt ??= performance.now();
    }
    await pause(nextDelayMs(place.failures++), options.signal);
  }
}

/** Where the following is, kept over connections. */
interface Place {
  /** Of the last event that came; undefined before the first. */
  id: string | undefined;
  /** Since when there is no connection. */
  lostAt: number | undefined;
  failures: number;
}

/** Ends after `finished`, and throws when the connection ends before. */
async function* readUpdates(reply: IncomingMessage, place: Place): AsyncGenerator<RunUpdate> {
  reply.setTimeout(silenceMs, () => reply.destroy(lost('it was silent for too long')));
  for await (const event of readEventStream(reply)) {
    const update = parseUpdate(event);
    place.id = event.id;
    place.lostAt = undefined;
    place.failures = 0;
    yield update;
    if (update.kind === 'finished') return;
  }
  throw lost('it ended before the run did');
}

function parseUpdate({ data }: StreamEvent): RunUpdate {
  try {
    const event = runEventSchema.parse(JSON.parse(data));
    if (event.type === 'state' || event.type === 'finished') return { kind: event.type, run: event.run };
    return toLogRecord(event);
  } catch (cause) {
    throw badReply('an event has an unexpected shape', cause);
  }
}

function lost(why: string): SlipwayError {
  return new SlipwayError('unavailable', 'connection-lost', `The connection to the server is lost: ${why}.`);
}

function toLost(error: unknown): SlipwayError {
  return isSlipwayError(error) ? error : lost(messageOf(error));
}

/** Errors of the network, and refusals of a server that starts, stops or is overloaded. */
function mayPass(error: unknown): boolean {
  if (!isSlipwayError(error)) return error instanceof Error && 'code' in error;
  return (
    ['unavailable', 'cancelled', 'timeout', 'too-many'].includes(error.kind) && error.code !== 'bad-reply'
  );
}

function isGivenUp({ id, lostAt }: Place): boolean {
  return id === undefined || (lostAt !== undefined && performance.now() - lostAt > giveUpMs);
}

/** Rejects with the signal's own reason. */
async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => signal?.throwIfAborted());
}

/** Twice as long each time, and not the same for all who lost the same server. */
function nextDelayMs(failures: number): number {
  const longest = Math.min(longestDelayMs, firstDelayMs * 2 ** Math.min(failures, 10));
  return longest * (0.5 + Math.random() / 2);
}
