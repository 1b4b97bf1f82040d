import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { isSlipwayError } from '../base/errors.ts';
import {
  assertWithinCeilings,
  defaultCeilings,
  defaultLimits,
  fillLimits,
  limitNames,
  limitsSchema,
} from './limits.ts';

describe('limits', () => {
  it('are all set, whatever was asked for', () => {
    assert.deepEqual(fillLimits({}), defaultLimits);
    const asked = fillLimits({ memoryBytes: 64 * 1024 * 1024, cpus: undefined });
    assert.deepEqual(asked, { ...defaultLimits, memoryBytes: 64 * 1024 * 1024 });
    const site = { ...defaultLimits, pids: 7 };
    assert.equal(fillLimits({}, site).pids, 7);
    assert.equal(fillLimits({ pids: 9 }, site).pids, 9);
  });

  it('have defaults that are valid and within the ceilings', () => {
    assert.deepEqual(limitsSchema.parse(defaultLimits), defaultLimits);
    assert.deepEqual(limitsSchema.parse(defaultCeilings), defaultCeilings);
    assertWithinCeilings(defaultLimits, defaultCeilings);
    assert.deepEqual(limitNames.toSorted(), Object.keys(limitsSchema.shape).toSorted());
  });

  it('are refused when no site could allow them', () => {
    const bad = [{ pids: 0 }, { wallTimeMs: 0.5 }, { memoryBytes: -1 }, { cpus: Number.NaN }, { cpus: 0 }];
    for (const asked of bad) {
      assert.throws(
        () => fillLimits(asked),
        (error) => isSlipwayError(error, 'bad-limit'),
        JSON.stringify(asked),
      );
    }
  });

  it('are refused over a ceiling, each by its name, and accepted at it', () => {
    fc.assert(
      fc.property(fc.constantFrom(...limitNames), (limit) => {
        const ceilings = { ...defaultCeilings, [limit]: defaultLimits[limit] };
        assertWithinCeilings(defaultLimits, ceilings);
        const over = { ...defaultLimits, [limit]: defaultLimits[limit] + 1 };
        assert.throws(
          () => assertWithinCeilings(over, ceilings),
          (error) => isSlipwayError(error, 'limit-over-ceiling') && error.details['limit'] === limit,
        );
      }),
    );
  });
});
