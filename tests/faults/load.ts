/** Clients that submit scripts without pause while the service is killed and started again beneath them. */
import { setTimeout as delay } from 'node:timers/promises';
import { isSlipwayError, messageOf, systemCode } from '../../src/base/errors.ts';
import type { Client } from '../../src/client/client.ts';
import type { SeededRandom } from '../support/seeded-random.ts';
import { until } from '../support/until.ts';
import { type ScriptKind, scriptKinds } from './scripts.ts';

/** A run that the service has accepted: its client has seen the answer. */
export interface Accepted {
  readonly id: string;
  readonly marker: string;
  readonly kind: ScriptKind;
}

export interface Load {
  readonly accepted: readonly Accepted[];
  /** Answers that a service may not give, even while it is killed. */
  readonly failures: readonly string[];
  /** No more submissions; resolves when the clients have ended. */
  stop(): Promise<void>;
}

/** How often a client waits for the end of its run before it submits the next. */
const waits = 0.6;
const pauseMs = 50;

export function startLoad(client: Client, random: SeededRandom, clients: number): Load {
  const accepted: Accepted[] = [];
  const failures: string[] = [];
  const stopping = new AbortController();
  const submitter = async (name: string, own: SeededRandom) => {
    for (let i = 0; !stopping.signal.aborted; i++) {
      const kind = own.pick(scriptKinds);
      const marker = `${name}-${i}`;
      try {
        const run = await submit(client, kind, marker);
        accepted.push({ id: run.id, marker, kind });
        if (kind.isCancelled) await cancel(client, run.id);
        if (own.next() < waits) await client.waitRun(run.id, stopping.signal);
      } catch (error) {
        if (stopping.signal.aborted) return;
        if (!isExpected(error)) failures.push(messageOf(error));
        await delay(pauseMs);
      }
    }
  };
  const ended = Promise.all(Array.from({ length: clients }, (_, i) => submitter(`c${i}`, random.fork())));
  return {
    accepted,
    failures,
    async stop() {
      stopping.abort();
      await ended;
    },
  };
}

export function submit(client: Client, kind: ScriptKind, marker: string) {
  return client.submitRun({ script: { source: kind.source }, args: [marker], ...kind.request });
}

/** Again until it is heard: without it the script would sleep for minutes. */
async function cancel(client: Client, id: string): Promise<void> {
  await until(
    `the wish to cancel ${id} is heard`,
    async () => {
      try {
        return await client.cancelRun(id, 'enough');
      } catch (error) {
        if (!isExpected(error)) throw error;
        return undefined;
      }
    },
    { deadlineMs: 120_000 },
  );
}

/** The service is away, is coming or going, or was killed in the middle of an answer. */
function isExpected(error: unknown): boolean {
  if (isSlipwayError(error)) return error.kind === 'unavailable';
  return systemCode(error) === 'ECONNRESET';
}
