import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { isSlipwayError } from '../base/errors.ts';
import {
  isFinished,
  type Lease,
  type Outcome,
  outcomeKinds,
  type RunEvent,
  type RunResult,
  type RunState,
  type RunStatus,
  runStates,
  transition,
} from './run.ts';

const lease: Lease = { holder: 'h', token: 3, expiresAt: 100 };
const renewed: Lease = { ...lease, expiresAt: 200 };

const outcomes: Record<(typeof outcomeKinds)[number], Outcome> = {
  succeeded: { kind: 'succeeded' },
  failed: { kind: 'failed', exitCode: 1 },
  signaled: { kind: 'signaled', signal: 'SIGKILL' },
  'timed-out': { kind: 'timed-out', limitMs: 1 },
  'oom-killed': { kind: 'oom-killed', limitBytes: 1 },
  'output-limit': { kind: 'output-limit', limitBytes: 1 },
  cancelled: { kind: 'cancelled', reason: 'r' },
  lost: { kind: 'lost', reason: 'r' },
  'platform-error': { kind: 'platform-error', code: 'c', message: 'm' },
};

function resultOf(outcome: Outcome): RunResult {
  return { outcome, finishedAt: 9, usage: null, log: null, files: [], skipped: [] };
}

function statusOf(state: RunState): RunStatus {
  if (state === 'submitted' || state === 'queued') return { state };
  if (state === 'preparing') return { state, lease };
  if (state === 'running') return { state, lease, startedAt: 5 };
  return { state, startedAt: 5, result: resultOf(outcomes[state]) };
}

/** Every event; a finish for each outcome. */
const events: Record<string, RunEvent> = {
  admit: { type: 'admit' },
  claim: { type: 'claim', lease },
  renew: { type: 'renew', lease: renewed },
  'renew with another token': { type: 'renew', lease: { ...renewed, token: 4 } },
  'renew by another holder': { type: 'renew', lease: { ...renewed, holder: 'x' } },
  requeue: { type: 'requeue' },
  start: { type: 'start', at: 7 },
  ...Object.fromEntries(
    outcomeKinds.map((kind) => [
      `finish ${kind}`,
      { type: 'finish', result: resultOf(outcomes[kind]) } as const,
    ]),
  ),
};

/** What may happen in which state, and where it leads; everything else is refused. */
const allowed: Record<string, Record<string, RunState>> = {
  submitted: { admit: 'queued', 'finish cancelled': 'cancelled', 'finish platform-error': 'platform-error' },
  queued: { claim: 'preparing', 'finish cancelled': 'cancelled', 'finish platform-error': 'platform-error' },
  preparing: {
    renew: 'preparing',
    requeue: 'queued',
    start: 'running',
    'finish cancelled': 'cancelled',
    'finish platform-error': 'platform-error',
  },
  running: {
    renew: 'running',
    ...Object.fromEntries(outcomeKinds.map((kind) => [`finish ${kind}`, kind])),
  },
};

describe('transition', () => {
  for (const state of runStates) {
    for (const [name, event] of Object.entries(events)) {
      const next = allowed[state]?.[name];
      it(`${state}: ${name} → ${next ?? 'refused'}`, () => {
        const status = statusOf(state);
        if (next === undefined) {
          assert.throws(
            () => transition(status, event),
            (error) => isSlipwayError(error, 'bad-transition') && error.kind === 'conflict',
          );
        } else assert.equal(transition(status, event).state, next);
      });
    }
  }

  it('keeps exactly what exists in the state it leads to', () => {
    assert.deepEqual(transition({ state: 'queued' }, { type: 'claim', lease }), {
      state: 'preparing',
      lease,
    });
    assert.deepEqual(transition(statusOf('preparing'), { type: 'requeue' }), { state: 'queued' });
    const running = { state: 'running', lease, startedAt: 7 };
    assert.deepEqual(transition(statusOf('preparing'), { type: 'start', at: 7 }), running);
    assert.deepEqual(transition(statusOf('running'), { type: 'renew', lease: renewed }), {
      state: 'running',
      lease: renewed,
      startedAt: 5,
    });
    const result = resultOf(outcomes.failed);
    const finished = { state: 'failed', startedAt: 5, result };
    assert.deepEqual(transition(statusOf('running'), { type: 'finish', result }), finished);
    const early = resultOf(outcomes.cancelled);
    assert.deepEqual(transition(statusOf('preparing'), { type: 'finish', result: early }), {
      state: 'cancelled',
      startedAt: null,
      result: early,
    });
  });

  it('never leaves a finished state and never runs user code twice, whatever happens', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...Object.values(events)), { maxLength: 40 }), (story) => {
        let status: RunStatus = { state: 'submitted' };
        let starts = 0;
        for (const event of story) {
          const before: RunStatus = status;
          try {
            status = transition(before, event);
          } catch (error) {
            assert.ok(isSlipwayError(error, 'bad-transition'));
            continue;
          }
          assert.ok(!isFinished(before));
          if (event.type === 'start') starts++;
        }
        assert.ok(starts <= 1);
      }),
    );
  });
});
