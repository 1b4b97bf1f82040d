import type { Readiness } from '../../api/views.ts';
import { healthSchema, readinessSchema } from '../../api/views.ts';
import { messageOf } from '../../base/errors.ts';
import type { App } from '../app-type.ts';
import type { HttpServices } from '../services.ts';

type Part = NonNullable<Readiness['parts']>[number];

/** A starter that does not answer for so long is not ready, in ms. */
const probeTimeoutMs = 5000;
/** Anybody on this machine may ask, so answers are kept this long, in ms. */
const keptMs = 1000;

/** `GET /health`: the process answers. Says nothing about the rest. */
export function health(app: App, { settings }: HttpServices): void {
  const schema = { summary: 'Is the process alive?', tags: ['service'], response: { 200: healthSchema } };
  const config = { public: true };
  app.get('/health', { schema, config }, async () => ({
    status: 'alive' as const,
    version: settings.version,
  }));
}

/** `GET /ready`: whether a run submitted now would be executed; reasons for callers with a token. */
export function ready(app: App, services: HttpServices): void {
  const schema = {
    summary: 'Can runs be executed now?',
    tags: ['service'],
    response: { 200: readinessSchema, 503: readinessSchema },
  };
  const check = keepFor(keptMs, services.clock.elapsed, () => checkParts(services));
  app.get('/ready', { schema, config: { public: true } }, async (request, reply) => {
    const parts = await check();
    const isReady = parts.every((part) => part.ok);
    reply.code(isReady ? 200 : 503);
    return { ready: isReady, ...(request.principal !== null && { parts }) };
  });
}

function keepFor<Value>(ms: number, elapsed: () => number, make: () => Promise<Value>): () => Promise<Value> {
  let kept: { readonly at: number; readonly value: Promise<Value> } | undefined;
  return () => {
    if (kept === undefined || elapsed() - kept.at > ms) kept = { at: elapsed(), value: make() };
    return kept.value;
  };
}

async function checkParts({ store, starter }: HttpServices): Promise<Part[]> {
  return Promise.all([
    checkPart('store', async () => {
      await store.check();
      return [];
    }),
    checkPart('starter', async () => {
      const probe = await starter.probe(AbortSignal.timeout(probeTimeoutMs));
      return probe.usable ? [] : probe.problems;
    }),
  ]);
}

/** A part is well when it does not throw and names no problem. */
async function checkPart(name: string, check: () => Promise<readonly string[]>): Promise<Part> {
  try {
    const problems = [...(await check())];
    return { name, ok: problems.length === 0, problems };
  } catch (error) {
    return { name, ok: false, problems: [messageOf(error)] };
  }
}
