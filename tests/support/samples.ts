/** Small valid things of the model, for tests that need one and do not care which. */
import { type Digest, digestOf } from '../../src/base/digest.ts';
import { createId } from '../../src/base/ids.ts';
import { defaultLimits } from '../../src/model/limits.ts';
import type { Principal } from '../../src/model/principal.ts';
import type { Outcome, RunOrder, RunResult } from '../../src/model/run.ts';
import type { NewRun } from '../../src/store/store.ts';

export const sampleDigest: Digest = digestOf('sample');

export const sampleOrder: RunOrder = {
  program: { kind: 'command', argv: ['/bin/true'], env: {}, streams: 'merged' },
  image: sampleDigest,
  imageName: 'sample',
  limits: defaultLimits,
  inputs: [],
  outputs: [],
};

export function samplePrincipal(change: Partial<Principal> = {}): Principal {
  return {
    id: createId('principal', Date.now()),
    namespace: 'default',
    name: 'somebody',
    role: 'caller',
    createdAt: 1,
    ...change,
  };
}

export function sampleRun(principal: Principal, change: Partial<NewRun> = {}): NewRun {
  return {
    id: createId('run', Date.now()),
    namespace: principal.namespace,
    principal: principal.id,
    submittedAt: 1000,
    order: sampleOrder,
    labels: {},
    ...change,
  };
}

export function sampleResult(outcome: Outcome = { kind: 'succeeded' }): RunResult {
  return { outcome, finishedAt: 5000, usage: null, log: null, files: [], skipped: [] };
}
