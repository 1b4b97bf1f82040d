import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { exitCodes } from '../src/cli/exit-codes.ts';
import { limitWord } from '../src/config/limit-settings.ts';
import { limitNames } from '../src/model/limits.ts';
import { outcomeKinds } from '../src/model/run.ts';
import { callCli } from './support/cli.ts';
import { createHttpStage } from './support/http-stage.ts';

const page = (name: string) => readFileSync(join(import.meta.dirname, '..', 'docs', name), 'utf8');

describe('docs/api.md', () => {
  test('names every route of the OpenAPI document, and no other', async (t) => {
    const { app } = await createHttpStage();
    t.after(() => app.close());
    const paths: Record<string, object> = (await app.inject({ url: '/openapi.json' })).json().paths;
    const routes = Object.entries(paths).flatMap(([path, operations]) =>
      Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
    );
    const named = [...page('api.md').matchAll(/^## .*/gm)].flatMap(([line]) =>
      [...line.matchAll(/`((?:GET|POST|DELETE|PUT) [^`]+)`/g)].map(([, route]) => route ?? ''),
    );
    assert.deepEqual(named.sort(), [...routes, 'GET /openapi.json'].sort());
  });

  test('names every field of a submission and every kind of outcome', async (t) => {
    const { app } = await createHttpStage();
    t.after(() => app.close());
    const { components } = (await app.inject({ url: '/openapi.json' })).json();
    const fields = Object.keys(components.schemas.SubmitRunInput.properties);
    assert.ok(fields.length >= 11);
    const text = page('api.md');
    for (const name of [...fields, ...outcomeKinds]) assert.ok(text.includes(`\`${name}\``), name);
  });
});

describe('docs/cli.md', () => {
  test('names every command, limit and exit status', async () => {
    const text = page('cli.md');
    const help = String((await callCli(['--help'])).stdout);
    const commands = [...help.matchAll(/^ {2}([a-z]+) /gm)]
      .map(([, name]) => name)
      .filter((name) => name !== 'help');
    assert.ok(commands.length >= 7);
    for (const name of commands) assert.ok(text.includes(`| \`slipway ${name}\` |`), name);
    const options = new Set(['wall-time', 'memory', 'cpus']);
    for (const word of limitNames.map(limitWord))
      assert.ok(options.has(word) || text.includes(`\`${word}\``), word);
    for (const status of Object.values(exitCodes)) assert.match(text, new RegExp(`^\\| ${status} \\|`, 'm'));
  });
});
