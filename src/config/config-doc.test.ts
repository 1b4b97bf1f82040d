import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { settingsTable } from './config-doc.ts';
import { allSettings, settings } from './settings.ts';

const page = readFileSync(new URL('../../docs/config.md', import.meta.url), 'utf8');

test('docs/config.md has the table of every section, word for word', () => {
  for (const [name, section] of Object.entries(settings)) {
    const table = settingsTable(section);
    assert.ok(page.includes(table), `The table "${name}" should read:\n\n${table}\n`);
  }
});

test('docs/config.md names no setting that does not exist', () => {
  const known = new Set(allSettings.map((setting) => setting.name));
  const named = page.match(/SLIPWAY_[A-Z_]*[A-Z]/g) ?? [];
  assert.ok(named.length > known.size);
  assert.deepEqual(
    named.filter((name) => !known.has(name)),
    [],
  );
});
