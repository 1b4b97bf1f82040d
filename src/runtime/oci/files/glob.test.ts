import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSlipwayError } from '../../../base/errors.ts';
import { toGlob } from './glob.ts';

function matches(pattern: string, path: string): boolean {
  return toGlob([pattern]).matches(path.split('/'));
}

test('a star stays within one part', () => {
  assert.ok(matches('*.csv', 'a.csv'));
  assert.ok(matches('*.csv', '.csv'));
  assert.ok(matches('o*t/*', 'out/.hidden'));
  assert.ok(!matches('*.csv', 'out/a.csv'));
  assert.ok(!matches('*.csv', 'a.csvx'));
});

test('two stars are any number of parts', () => {
  for (const path of ['a.csv', 'x/a.csv', 'x/y/z/a.csv']) assert.ok(matches('**/*.csv', path), path);
  assert.ok(matches('**', 'x/y'));
  assert.ok(matches('a/**/b/**/c', 'a/b/x/b/y/c'));
  assert.ok(!matches('a/**/b', 'a/b/c'));
});

test('a question mark is one character, also one outside the basic plane', () => {
  assert.ok(matches('?', 'é'));
  assert.ok(matches('?', '😀'));
  assert.ok(!matches('?', 'ab'));
});

test('everything else stands for itself', () => {
  assert.ok(matches('a[1].{b}', 'a[1].{b}'));
  assert.ok(!matches('a.b', 'aXb'));
  assert.ok(matches('a\\*', 'a\\x'));
});

test('a slash at the end means all below, a dot in front means nothing', () => {
  assert.ok(matches('out/', 'out/x/y'));
  assert.ok(matches('./a', 'a'));
  assert.ok(!matches('out/', 'other/x'));
});

test('directories are entered only where a match is possible', () => {
  const glob = toGlob(['*.png', 'out/*.csv', 'deep/**/x']);
  assert.ok(glob.reaches(['out']));
  assert.ok(glob.reaches(['deep', 'a', 'b']));
  assert.ok(!glob.reaches(['src']));
  assert.ok(!glob.reaches(['out', 'sub']));
});

test('no path leads out of /work', () => {
  for (const pattern of ['../x', 'a/../../x', '/etc/passwd', '', 'a//b']) {
    assert.throws(
      () => toGlob([pattern]),
      (error) => isSlipwayError(error, 'bad-pattern'),
      pattern,
    );
  }
  assert.throws(
    () => toGlob(Array(101).fill('a')),
    (error) => isSlipwayError(error, 'bad-pattern'),
  );
  assert.throws(
    () => toGlob(['a'.repeat(1025)]),
    (error) => isSlipwayError(error, 'bad-pattern'),
  );
});

test('patterns made to explode do not', () => {
  assert.ok(!matches(`${'*a'.repeat(500)}b`, 'a'.repeat(255)));
  assert.ok(!matches(`${'**/a/'.repeat(200)}b`, Array(500).fill('a').join('/')));
});
