import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { digestOf, isDigest, parseDigest } from './digest.ts';
import { isSlipwayError } from './errors.ts';

describe('digests', () => {
  it('are those of SHA-256', () => {
    // FIPS 180-4, the examples of SHA-256.
    const abc = 'sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
    assert.equal(digestOf('abc'), abc);
    assert.equal(digestOf(Buffer.from('abc')), abc);
    assert.equal(parseDigest(abc), abc);
  });

  it('are refused in any other shape', () => {
    const hex = 'a'.repeat(64);
    const bad = [
      '',
      hex,
      `sha512:${hex}`,
      `sha256:${hex}a`,
      `sha256:${hex.slice(1)}`,
      `sha256:${hex.toUpperCase()}`,
    ];
    for (const value of [...bad, `sha256:${hex}\n`, `sha256:${'../'.repeat(20)}aaaa`, null, 7]) {
      assert.ok(!isDigest(value), String(value));
      assert.throws(
        () => parseDigest(value),
        (error) => isSlipwayError(error, 'bad-digest'),
      );
    }
  });
});
