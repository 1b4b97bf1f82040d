import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createId, isId, randomText } from './ids.ts';

describe('ids', () => {
  it('are recognised by their prefix and shape', () => {
    fc.assert(
      fc.property(fc.nat(2 ** 45), (now) => {
        const id = createId('run', now);
        assert.ok(isId('run', id));
        assert.ok(!isId('token', id));
        assert.ok(!isId('ru', id));
      }),
    );
    const id = createId('run', 1);
    for (const bad of [
      undefined,
      7,
      '',
      'run_',
      id.toUpperCase(),
      `${id}0`,
      id.slice(0, -1),
      `${id}\n`,
      ` ${id}`,
    ]) {
      assert.ok(!isId('run', bad), String(bad));
    }
    for (const letter of ['i', 'l', 'o', 'u', '/', '.']) assert.ok(!isId('run', id.slice(0, -1) + letter));
  });

  it('sort by their time', () => {
    fc.assert(
      fc.property(fc.nat(2 ** 42), fc.nat(2 ** 42), (a, b) => {
        if (a !== b) assert.equal(createId('run', a) < createId('run', b), a < b);
      }),
    );
  });

  it('do not repeat', () => {
    assert.equal(new Set(Array.from({ length: 10_000 }, () => createId('run', 1))).size, 10_000);
    assert.equal(randomText(7).length, 7);
  });
});
