import assert from 'node:assert/strict';
import { resolve } from 'node:path/posix';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { isSlipwayError } from '../base/errors.ts';
import { assertDistinctPaths, parseRelativePath } from './paths.ts';

const isBadPath = (error: unknown) => isSlipwayError(error, 'bad-path');

describe('relative paths', () => {
  it('are taken as they are', () => {
    const good = [
      'a',
      'a/b.csv',
      '...',
      '..a/b..',
      'a b',
      'ä/日本',
      '\u{1f600}',
      '-rf',
      'a\\b',
      'x'.repeat(255),
    ];
    for (const path of good) assert.equal(parseRelativePath(path, 'input file'), path);
  });

  it('are refused when they could lead elsewhere or nowhere', () => {
    const bad = [
      '',
      '/',
      '/etc',
      '.',
      '..',
      '../a',
      'a/../b',
      'a/..',
      './a',
      'a/.',
      'a//b',
      'a/',
      'a\0b',
      '\ud800',
    ];
    bad.push('x'.repeat(256), 'é'.repeat(128), 'x/'.repeat(512).concat('x'));
    for (const path of bad) assert.throws(() => parseRelativePath(path, 'input file'), isBadPath, path);
    for (const value of [undefined, null, 7, {}, ['a']]) {
      assert.throws(() => parseRelativePath(value, 'input file'), isBadPath);
    }
  });

  it('stay below the directory they are joined to', () => {
    const part = fc.oneof(fc.constantFrom('.', '..', '', '/', '\0', 'a'), fc.string());
    fc.assert(
      fc.property(fc.array(part), (parts) => {
        const path = parts.join('/');
        try {
          parseRelativePath(path, 'input file');
        } catch (error) {
          assert.ok(isBadPath(error));
          return;
        }
        assert.equal(resolve('/data', path), `/data/${path}`);
      }),
    );
  });

  it('are refused together when two name the same or one lies in another', () => {
    assertDistinctPaths(['a/b', 'a/c', 'ab', 'a b'], 'input file');
    assertDistinctPaths([], 'input file');
    for (const paths of [
      ['a', 'a'],
      ['a', 'a/b'],
      ['x/y/z', 'q', 'x/y'],
      ['a/b/c', 'a'],
    ]) {
      assert.throws(() => assertDistinctPaths(paths, 'input file'), isBadPath, paths.join());
    }
  });
});
