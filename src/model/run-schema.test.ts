import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultLimits } from './limits.ts';
import type { RunOrder } from './run.ts';
import { runOrderSchema, usageSchema } from './run-schema.ts';

const order: RunOrder = {
  program: { kind: 'command', argv: ['true'], env: {}, streams: 'merged' },
  image: `sha256:${'a'.repeat(64)}`,
  imageName: 'python',
  limits: defaultLimits,
  inputs: [],
  outputs: [],
};

test('an order comes back as it was, with its egress', () => {
  const whole = { ...order, egress: [{ host: '*.example.org', port: 443 }] };
  assert.deepEqual(runOrderSchema.parse(JSON.parse(JSON.stringify(whole))), whole);
});

test('an order that was stored before there was egress may send nothing', () => {
  const { egressBytes: _, ...older } = defaultLimits;
  assert.deepEqual(runOrderSchema.parse({ ...order, limits: older }).limits, { ...older, egressBytes: 0 });
});

test('hosts that are not in their one spelling are refused', () => {
  for (const host of ['Example.org', 'a.b.', '127.1', '[::1]', '']) {
    assert.equal(runOrderSchema.safeParse({ ...order, egress: [{ host, port: 1 }] }).success, false, host);
  }
});

test('usage comes back with what was done through the egress proxy', () => {
  const usage = {
    ...{ wallMs: 1, cpuMs: null, cpuUserMs: null, cpuSystemMs: null, memoryPeakBytes: null },
    ...{ pidsPeak: null, readBytes: null, writtenBytes: null, oomKills: null },
    egress: {
      ...{ sentBytes: 1, receivedBytes: 2, omitted: 3 },
      hosts: [
        {
          host: 'a.b',
          port: 1,
          kind: 'refused',
          reason: 'not-named',
          count: 1,
          sentBytes: 0,
          receivedBytes: 0,
        },
      ],
    },
  };
  assert.deepEqual(usageSchema.parse(usage), usage);
});
