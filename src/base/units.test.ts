import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { isSlipwayError } from './errors.ts';
import { formatBytes, formatDuration, parseDuration, parseSize } from './units.ts';

describe('sizes', () => {
  it('are read as people write them', () => {
    const sizes = {
      '0': 0,
      '4096': 4096,
      '512mb': 512e6,
      '1.5GiB': 1.5 * 1024 ** 3,
      ' 2 k ': 2048,
      '7B': 7,
      '1gb': 1e9,
    };
    for (const [text, bytes] of Object.entries(sizes)) assert.equal(parseSize(text), bytes, text);
  });

  it('are refused otherwise', () => {
    for (const text of [
      '',
      'mb',
      '-1',
      '1e3',
      '1,5mb',
      '1 2',
      '5 minutes',
      '9'.repeat(20),
      '1constructor',
      'NaN',
    ]) {
      assert.throws(
        () => parseSize(text),
        (error) => isSlipwayError(error, 'bad-size'),
        text,
      );
    }
  });

  it('are written for people', () => {
    const sizes = { 0: '0 B', 999: '999 B', 1000: '1 kB', 1500: '1.5 kB', 312400: '312 kB', 999999: '1 MB' };
    for (const [bytes, text] of Object.entries(sizes)) assert.equal(formatBytes(Number(bytes)), text);
    assert.equal(formatBytes(123e18), '123000 PB');
  });

  it('survive being written and read, to three digits', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 52 }), (bytes) => {
        const text = formatBytes(bytes);
        assert.match(text, /^\d{1,3}(\.\d{1,2})? (B|kB|MB|GB|TB|PB)$/);
        const [value, unit] = text.split(' ');
        const scale = { B: 1, kB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12, PB: 1e15 }[unit ?? ''] ?? Number.NaN;
        assert.ok(Math.abs(Number(value) * scale - bytes) <= bytes * 0.0051, text);
      }),
    );
  });
});

describe('durations', () => {
  it('are read as people write them', () => {
    const durations = {
      '30': 30_000,
      '30s': 30_000,
      '250ms': 250,
      '1.5h': 5_400_000,
      '2d': 172_800_000,
      '3 min': 180_000,
    };
    for (const [text, ms] of Object.entries(durations)) assert.equal(parseDuration(text), ms, text);
  });

  it('are refused otherwise', () => {
    for (const text of ['', 's', '-5s', '5 parsecs', '1h30m']) {
      assert.throws(
        () => parseDuration(text),
        (error) => isSlipwayError(error, 'bad-duration'),
        text,
      );
    }
  });

  it('are written for people', () => {
    const durations = {
      0: '0 ms',
      340: '340 ms',
      999.7: '1 s',
      1250: '1.25 s',
      59960: '1 min 0 s',
      200000: '3 min 20 s',
      3599700: '1 h 0 min',
      7500000: '2 h 5 min',
    };
    for (const [ms, text] of Object.entries(durations)) assert.equal(formatDuration(Number(ms)), text, ms);
  });
});
