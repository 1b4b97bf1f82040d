import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSlipwayError } from '../base/errors.ts';
import { createId } from '../base/ids.ts';
import { type EgressTarget, parseRule } from '../model/egress.ts';
import { defaultCeilings, defaultLimits } from '../model/limits.ts';
import type { RuntimeDriver } from '../runtime/driver.ts';
import { createLocalStarter } from './local-starter.ts';
import type { ExecutionFeed, ExecutionOrder } from './starter.ts';

const driver: RuntimeDriver = {
  name: 'oci',
  capabilities: { attach: false, lateSupply: true, runner: true, server: true, outlet: true },
  probe: () => assert.fail('not asked'),
  create: () => assert.fail('nothing may be made'),
  attach: async () => undefined,
  list: () => assert.fail('not asked'),
  remove: async () => undefined,
  [Symbol.asyncDispose]: async () => undefined,
};

async function* nothing(): AsyncGenerator<never> {}

const feed: ExecutionFeed = { code: nothing(), inputs: nothing(), stdin: nothing() };

function orderWith(egress: readonly EgressTarget[], egressBytes = 1000): ExecutionOrder {
  return {
    run: createId('run', 0),
    image: `sha256:${'a'.repeat(64)}`,
    program: { kind: 'command', argv: ['true'], env: {}, streams: 'merged' },
    limits: { ...defaultLimits, egressBytes },
    outputs: [],
    stdin: false,
    egress,
  };
}

/** What a control plane that does not check anything gets to hear. */
async function refusalOf(order: ExecutionOrder): Promise<unknown> {
  await using starter = createLocalStarter({
    driver,
    images: { list: () => assert.fail('not asked'), resolve: () => assert.fail('nothing may be made') },
    ceilings: { ...defaultCeilings, egressBytes: 5000 },
    egress: { rules: [parseRule('a.example:443')], resolve: () => assert.fail('nothing is looked up') },
  });
  const { events } = starter.execute(order, feed, new AbortController().signal);
  return await Array.fromAsync(events).catch((error) => error);
}

test('the starter holds an order to its own rules of egress, whatever the control plane says', async () => {
  const allowed = { host: 'a.example', port: 443 };
  for (const target of [
    { host: 'b.example', port: 443 },
    { host: 'a.example', port: 80 },
    { host: '*.example', port: 443 },
  ]) {
    const refusal = await refusalOf(orderWith([allowed, target]));
    assert.ok(isSlipwayError(refusal, 'egress-not-allowed'), String(refusal));
  }
  assert.ok(isSlipwayError(await refusalOf(orderWith([allowed], 5001)), 'limit-over-ceiling'));
});
