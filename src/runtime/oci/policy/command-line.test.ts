import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSlipwayError } from '../../../base/errors.ts';
import type { Image } from '../../../model/image.ts';
import { defaultLimits } from '../../../model/limits.ts';
import type { SandboxSpec, SandboxUse } from '../../driver.ts';
import { toCommandLine, toEnvironment } from './command-line.ts';

const image: Image = {
  digest: `sha256:${'b'.repeat(64)}`,
  names: [],
  architecture: 'amd64',
  sizeBytes: 1,
  user: { uid: 1, gid: 1, home: '/home/slipway' },
  env: { PATH: '/opt/bin', HOME: '/elsewhere' },
  workdir: '/',
  entrypoint: ['/bin/app'],
  cmd: ['serve'],
  labels: {},
  packages: [],
  notes: [],
  hasShell: true,
};

function spec(use: SandboxUse, changes: Partial<Image> = {}, env: Record<string, string> = {}): SandboxSpec {
  return { id: 'a', image: { ...image, ...changes }, use, env, limits: defaultLimits };
}

function command(argv: readonly string[], streams: 'merged' | 'separate' = 'separate'): SandboxUse {
  return { kind: 'command', argv, streams };
}

test('words are passed as they are', () => {
  const argv = ['prog', '', '--flag=$(x)', 'two\nlines', 'ünï'];
  assert.deepEqual(toCommandLine(spec(command(argv))), argv);
  assert.deepEqual(toCommandLine(spec(command(argv, 'merged'))).slice(4), argv);
});

test('without a command the image says what to run', () => {
  assert.deepEqual(toCommandLine(spec(command([]))), ['/bin/app', 'serve']);
  const nothing = spec(command([]), { entrypoint: [], cmd: [] });
  assert.throws(
    () => toCommandLine(nothing),
    (error) => isSlipwayError(error, 'no-command'),
  );
});

test('merging needs a shell, and says so', () => {
  const shellless = spec(command(['a'], 'merged'), { hasShell: false });
  assert.throws(
    () => toCommandLine(shellless),
    (error) => isSlipwayError(error, 'image-has-no-shell'),
  );
});

test('a runner must be in the image', () => {
  assert.throws(
    () => toCommandLine(spec({ kind: 'runner' })),
    (error) => isSlipwayError(error, 'image-has-no-runner'),
  );
});

test('words that Linux would cut or change are refused', () => {
  for (const word of ['a\0b', 'a\ud800']) {
    assert.throws(
      () => toCommandLine(spec(command(['x', word]))),
      (error) => isSlipwayError(error, 'bad-argument'),
    );
    const named = spec(command(['x']), {}, { NAME: word });
    assert.throws(
      () => toEnvironment(named),
      (error) => isSlipwayError(error, 'bad-argument'),
    );
  }
});

test('names of variables cannot smuggle in others', () => {
  for (const name of ['', 'A=B']) {
    const named = spec(command(['x']), {}, { [name]: 'v' });
    assert.throws(
      () => toEnvironment(named),
      (error) => isSlipwayError(error, 'bad-environment'),
    );
  }
});

test('the spec goes over the image, the image over the defaults', () => {
  const env = toEnvironment(spec(command(['x']), {}, { PATH: '/mine' }));
  assert.deepEqual(env.toSorted(), ['HOME=/elsewhere', 'PATH=/mine']);
});
