import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSlipwayError } from '../../../base/errors.ts';
import type { Usage } from '../../../model/usage.ts';
import { type Evidence, judge } from './judge.ts';

const usage: Usage = {
  wallMs: 5,
  cpuMs: 1,
  cpuUserMs: null,
  cpuSystemMs: null,
  memoryPeakBytes: 1,
  pidsPeak: 1,
  readBytes: 0,
  writtenBytes: 0,
  oomKills: 0,
};

function evidence(changes: Partial<Evidence> = {}): Evidence {
  const exit = { code: 0, signal: null };
  return {
    program: 'p',
    exit,
    programStarted: true,
    log: '',
    complaint: '',
    killed: false,
    usage,
    ...changes,
  };
}

const killed = { ...usage, oomKills: 1 };

test('a program ends with its code or its signal', () => {
  assert.deepEqual(judge(evidence()).status, { kind: 'exited', code: 0, usage });
  const segv = judge(evidence({ exit: { code: 139, signal: null } }));
  assert.deepEqual(segv.status, { kind: 'signaled', signal: 'SIGSEGV', usage });
});

test('an out-of-memory kill counts only where the program failed', () => {
  assert.equal(judge(evidence({ usage: killed })).status.kind, 'exited');
  const failed = judge(evidence({ usage: killed, exit: { code: 137, signal: null } }));
  assert.deepEqual(failed.status, { kind: 'oom-killed', code: 137, usage: killed });
  assert.equal(judge(evidence({ usage: killed, exit: { code: 1, signal: null } })).status.kind, 'oom-killed');
});

test('a runtime that vanished leaves a lost sandbox, unless we killed it', () => {
  const gone = { code: null, signal: 'SIGKILL' };
  assert.equal(judge(evidence({ exit: gone })).status.kind, 'lost');
  const ours = judge(evidence({ exit: gone, killed: true, programStarted: false }));
  assert.deepEqual(ours.status, { kind: 'signaled', signal: 'SIGKILL', usage });
});

test('a program that could not be executed is an outcome, with a line for its reader', () => {
  const log = '{"level":"error","msg":"exec: \\"p\\": executable file not found in $PATH"}\n';
  const verdict = judge(evidence({ programStarted: false, exit: { code: 1, signal: null }, log }));
  assert.deepEqual(verdict.status, { kind: 'exited', code: 127, usage });
  assert.match(verdict.message ?? '', /^slipway: .*"p"\n$/);
});

test('a sandbox that could not be made is a failure of the platform', () => {
  const failed = evidence({ programStarted: false, exit: { code: 1, signal: null }, log: '' });
  assert.throws(
    () => judge(failed),
    (error) => isSlipwayError(error, 'sandbox-failed'),
  );
  assert.throws(() => judge({ ...failed, complaint: 'cannot open libc.so' }), /cannot open libc\.so/);
});

test('a runtime that was killed for want of memory at its start is out of memory', () => {
  const status = judge(
    evidence({ programStarted: false, exit: { code: 1, signal: null }, usage: killed }),
  ).status;
  assert.equal(status.kind, 'oom-killed');
});
