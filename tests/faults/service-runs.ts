/** Small things that every fault test does with a service. */
import assert from 'node:assert/strict';
import type { RunView } from '../../src/api/run-view.ts';
import type { SubmitRequestInput } from '../../src/api/submit-request.ts';
import type { ServiceProcess } from '../support/service.ts';
import { readOutput } from './judge-run.ts';

/** Never reached by a service that works. */
export const settleMs = 180_000;

export function script(source: string, more: Partial<SubmitRequestInput> = {}): SubmitRequestInput {
  return { script: { source }, ...more };
}

/** Submits and waits for the end. */
export async function run({ client }: ServiceProcess, request: SubmitRequestInput): Promise<RunView> {
  const { id } = await client.submitRun(request);
  return await ended(client, id);
}

export function ended(client: ServiceProcess['client'], id: string): Promise<RunView> {
  return client.waitRun(id, AbortSignal.timeout(settleMs));
}

/** A run must succeed with its output now. */
export async function assertWorks(service: ServiceProcess): Promise<void> {
  const canary = await run(service, script('print("canary")'));
  assert.equal(canary.state, 'succeeded', JSON.stringify(canary.outcome));
  assert.equal(await readOutput(service.client, canary.id), 'canary\n');
}

/** Resolves when the program has printed something. */
export async function begun({ client }: ServiceProcess, id: string): Promise<void> {
  for await (const record of client.followLog(id)) {
    if (record.kind === 'output') return;
  }
  throw new Error(`The run ${id} ended without output: ${JSON.stringify(await client.getRun(id))}`);
}

/** The reasons for which a service is not ready; none if it is. */
export async function problemsOf({ client }: ServiceProcess, part: string): Promise<string> {
  const { ready, parts = [] } = await client.readiness();
  const problems = parts.find((each) => each.name === part)?.problems ?? [];
  assert.equal(
    ready,
    parts.every((each) => each.ok),
  );
  return problems.join('\n');
}
