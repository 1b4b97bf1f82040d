import assert from 'node:assert/strict';
import { test } from 'node:test';
import { importedModules } from './script-code.ts';

const imports = (source: string) =>
  importedModules([{ path: 's.py', content: Buffer.from(source) }], ['pandas', 'a.b']);

test('finds the modules that a script imports', () => {
  for (const source of [
    'import pandas',
    'import pandas as pd\n',
    'x = 1\nimport os, pandas\n',
    'def f():\n    from pandas import DataFrame\n',
    'from pandas.io import json',
  ]) {
    assert.deepEqual(imports(source), ['pandas'], source);
  }
  assert.deepEqual(imports('import a.b'), ['a.b']);
});

test('finds none where there is none', () => {
  for (const source of [
    'print("import pandas")',
    '# import pandas',
    'import pandas_like',
    'import os # pandas',
    'import aXb',
  ]) {
    assert.deepEqual(imports(source), [], source);
  }
});

test('takes time in proportion to the size of hostile text', () => {
  const source = `${'import '.repeat(200_000)}\n${'\n'.repeat(500_000)}${' '.repeat(500_000)}`;
  assert.deepEqual(imports(source), []);
});
