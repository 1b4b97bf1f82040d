/** One script through the HTTP API, as any client would. */
import { z } from 'zod';
import type { ServiceProcess } from '../tests/support/service.ts';

const replySchema = z.object({ state: z.string() });

/** @returns the time from the request to the finished run, in ms */
export async function runScript({ url, token }: ServiceProcess, source: string): Promise<number> {
  const started = performance.now();
  const reply = await fetch(`${url}/v1/runs?wait=60s`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ script: { source } }),
  });
  const { state } = replySchema.parse(await reply.json());
  if (state !== 'succeeded') throw new Error(`the run ended as ${state}`);
  return performance.now() - started;
}
