import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lastError, programEnd, startFailure } from './exit.ts';

function log(...messages: readonly string[]): string {
  return messages.map((msg) => `${JSON.stringify({ level: 'error', msg, time: '2026' })}\n`).join('');
}

test('codes up to 128 are exits', () => {
  for (const code of [0, 1, 126, 127, 128]) assert.deepEqual(programEnd(code), { kind: 'exited', code });
});

test('128 + n is signal n where there is one', () => {
  assert.deepEqual(programEnd(137), { kind: 'signaled', signal: 'SIGKILL' });
  assert.deepEqual(programEnd(139), { kind: 'signaled', signal: 'SIGSEGV' });
  assert.deepEqual(programEnd(159), { kind: 'signaled', signal: 'SIGSYS' });
  assert.deepEqual(programEnd(160), { kind: 'exited', code: 160 });
  assert.deepEqual(programEnd(255), { kind: 'exited', code: 255 });
});

const runc = 'runc run failed: unable to start container process: ';
const crun = 'executable file `nope` not found in $PATH: No such file or directory';

test('a program that the image lacks', () => {
  for (const message of [
    `${runc}exec: "nope": executable file not found in $PATH`,
    `${runc}exec: "/nope/x": stat /nope/x: no such file or directory`,
    crun,
  ]) {
    assert.equal(startFailure(log(message), 'nope').kind, 'not-found', message);
  }
});

test('a program that cannot be executed', () => {
  for (const reason of ['permission denied', 'operation not permitted', 'exec format error']) {
    const failure = startFailure(log(`${runc}exec: "/etc": ${reason}`), '/etc');
    assert.equal(failure.kind, 'not-executable');
    assert.match(failure.message, new RegExp(reason));
  }
});

test('a sandbox too small for its own start', () => {
  const message = `${runc}container init was OOM-killed (memory limit too low?)`;
  assert.equal(startFailure(log(message), 'x').kind, 'out-of-memory');
});

test('failures of mounts, cgroups and the like are the platform, even if they name files', () => {
  for (const message of [
    'runc run failed: error mounting "/x" to rootfs at "/data": stat /x: no such file or directory',
    'runc run failed: cannot set memory limit: container could not join or create cgroup',
    'something else',
  ]) {
    assert.equal(startFailure(log(message), 'x').kind, 'platform', message);
  }
  assert.equal(startFailure('', 'x').kind, 'platform');
  const said = startFailure('', 'x', 'exec: no such file or directory');
  assert.deepEqual(said, { kind: 'platform', message: 'exec: no such file or directory' });
});

test('the last error counts; warnings and lines of another form do not', () => {
  const text = `${log('first', 'second')}{"level":"warning","msg":"careful"}\nnot json\n[1]\n"text"\n`;
  assert.equal(lastError(text), 'second');
  assert.equal(lastError('{"level":"info","msg":"x"}\n'), undefined);
});

test('a program cannot flood the message', () => {
  assert.ok((lastError(log('x'.repeat(1e5))) ?? '').length <= 1000);
});
