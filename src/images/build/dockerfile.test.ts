import assert from 'node:assert/strict';
import { it } from 'node:test';
import { basesOf } from './dockerfile.ts';

const cases: [string, string, string[]][] = [
  ['one base', 'FROM python:3.11-slim\nRUN echo FROM nothing\n', ['python:3.11-slim']],
  [
    'stages and options',
    'FROM --platform=linux/amd64 a AS one\nfrom b as Two\nFROM two\nFROM one\n',
    ['a', 'b'],
  ],
  ['scratch', 'FROM scratch\nCOPY x /\n', []],
  [
    'defaults of ARG',
    `ARG V="3"\nARG W=x\nFROM python:\${V}-slim\nFROM $W\nFROM \${U:-y}\n`,
    ['python:3-slim', 'x', 'y'],
  ],
  [
    'files of other images',
    'FROM a AS s\nCOPY --chown=1 --from=b /x /x\nCOPY --from=s /x /x\nCOPY --from=0 / /\n',
    ['a', 'b'],
  ],
  ['comments and continued lines', '# FROM z\nFROM \\\n  # inside\n  a \\\n  AS b\r\nFROM b\n', ['a']],
  ['the same base twice', 'FROM a\nFROM a\n', ['a']],
];

for (const [what, text, bases] of cases) {
  it(`finds the bases of a Dockerfile: ${what}`, () => assert.deepEqual(basesOf(text), bases));
}
