import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { computed, findComputed, findErrorCodes } from './support/error-codes.ts';
import { readSources } from './support/imports.ts';

const sources = readSources(join(import.meta.dirname, '..', 'src'));
const page = readFileSync(join(import.meta.dirname, '..', 'docs', 'errors.md'), 'utf8');

describe('docs/errors.md', () => {
  test('lists every error code of the program with its kind, and no other', () => {
    const inCode = findErrorCodes(sources).map(({ code, kind }) => `${code} | ${kind}`);
    const rows = page.matchAll(/^\| `([a-z0-9-]+)` \| ([a-z-]+) \| (.+) \|$/gm);
    const inPage = [...rows].map(([, code, kind]) => `${code} | ${kind}`);
    assert.deepEqual(inPage.sort(), inCode.sort());
    assert.ok(inCode.length > 100, `${inCode.length} codes were found`);
  });

  test('is checked for every error: those whose code is computed are known', () => {
    assert.deepEqual(findComputed(sources).sort(), Object.keys(computed).sort());
  });
});

test('the extraction sees every form', () => {
  const text = `
    // new SlipwayError('internal', 'in-comment', '')
    throw new SlipwayError(
      'conflict',
      'over-lines', 'x');
    const table = { X: ['too-large', 'in-tuple', 'y'], Y: { kind: 'timeout', code: 'in-object' } };
    function refuse(code: string, why: string) { return new SlipwayError('invalid-input', code, why); }
    throw refuse('by-helper', 'z');
    throw toSlipwayError(error, 'made-internal');
    new SlipwayError('internal', \`bad-\${what}\`, '');
  `;
  const sample = [{ path: 'x.ts', text, imports: [] }];
  assert.deepEqual(
    findErrorCodes(sample).map(({ code, kind }) => `${code} ${kind}`),
    [
      'by-helper invalid-input',
      'in-object timeout',
      'in-tuple too-large',
      'made-internal internal',
      'over-lines conflict',
    ],
  );
  assert.deepEqual(findComputed(sample), ['x.ts']);
});
