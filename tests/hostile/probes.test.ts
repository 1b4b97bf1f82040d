/** Every probe of programs/, inside one sandbox and outside: one row, one test. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { isWhole, type ProbeRow } from './probe-row.ts';
import { runOutside } from './programs.ts';
import { fileRows, identityRows } from './rows-files.ts';
import { kernelRows } from './rows-kernel.ts';
import { createStage } from './stage.ts';

const groups: readonly [name: string, modules: readonly string[], rows: readonly ProbeRow[]][] = [
  ['kernel', ['namespaces', 'kernel', 'sockets'], kernelRows],
  ['files', ['files'], fileRows],
  ['identity', ['identity'], identityRows],
];

const mib = 1024 * 1024;

describe('probes', () => {
  const stage = createStage();
  for (const [name, modules, rows] of groups) {
    describe(name, () => {
      let insideAnswers = new Map<string, string>();
      let outsideAnswers = new Map<string, string>();
      before(async () => {
        const limits = { openFiles: 1024, memoryBytes: 512 * mib, workBytes: 128 * mib };
        const { stdout, stderr } = await stage.attack('probe', modules, { limits });
        assert.equal(stderr.toString(), '');
        insideAnswers = parseAnswers(stdout.toString());
        const outside = await runOutside('probe', ...modules);
        assert.equal(outside.stderr, '');
        outsideAnswers = parseAnswers(outside.stdout);
      });

      test('every program has a row, and every row a program', () => {
        const names = rows.map((row) => row.name).sort();
        assert.deepEqual([...insideAnswers.keys()].sort(), names);
        assert.deepEqual([...outsideAnswers.keys()].sort(), names);
      });

      for (const row of rows) {
        test(row.name, () => assertRow(row, insideAnswers.get(row.name), outsideAnswers.get(row.name)));
      }
    });
  }
});

function assertRow(row: ProbeRow, inside: string | undefined, outside: string | undefined): void {
  assert.ok(inside !== undefined && outside !== undefined, 'the program did not answer');
  assert.ok(isWhole(row.inside, inside), `inside it answers ${JSON.stringify(inside)}, not ${row.inside}`);
  assert.ok(
    isWhole(row.outside, outside),
    `outside it answers ${JSON.stringify(outside)}, not ${row.outside}`,
  );
}

function parseAnswers(lines: string): Map<string, string> {
  const answers = lines
    .trim()
    .split('\n')
    .map((line): { name: string; result: string } => JSON.parse(line));
  return new Map(answers.map(({ name, result }) => [name, result]));
}
