/** Requests made from the OpenAPI document, half of them spoiled: whatever comes, nothing fails inside. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createHttpStage } from '../../tests/support/http-stage.ts';

type Schema = Readonly<Record<string, unknown>>;

const seed = 20_261_120;
const requests = 2000;

const hostile: readonly unknown[] = [
  null,
  true,
  -1,
  0,
  1e308,
  2 ** 53,
  '',
  '\0',
  '\ud800',
  '../../etc/passwd',
  'x'.repeat(5000),
  [],
  {},
  [[[]]],
  `sha256:${'f'.repeat(64)}`,
  `run_${'0'.repeat(26)}`,
  '%00%ff',
  '🐋',
  '{}',
  'constructor',
  'toString',
];

/** Mulberry32: numbers from 0 to 1, the same for the same seed. */
function createRandom(start: number): () => number {
  let state = start;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  };
}

class Generator {
  readonly #random = createRandom(seed);
  readonly #components: Readonly<Record<string, Schema>>;
  spoil = 0;

  constructor(components: Readonly<Record<string, Schema>>) {
    this.#components = components;
  }

  pick<Item>(items: readonly Item[]): Item {
    const item = items[Math.floor(this.#random() * items.length)];
    if (item === undefined && items.length === 0) throw new Error('nothing to pick from');
    return item as Item; // the index is inside
  }

  chance(probability: number): boolean {
    return this.#random() < probability;
  }

  value(schema: Schema): unknown {
    if (this.chance(this.spoil)) return this.pick(hostile);
    const reference = schema['$ref'];
    if (typeof reference === 'string')
      return this.value(this.#components[reference.split('/').at(-1) ?? ''] ?? {});
    if (Array.isArray(schema['enum'])) return this.pick(schema['enum']);
    const choices = schema['anyOf'] ?? schema['oneOf'];
    if (Array.isArray(choices)) return this.value(this.pick(choices));
    if (schema['type'] === 'object') return this.#object(schema);
    if (schema['type'] === 'array') return this.#array(schema);
    if (schema['type'] === 'string') return this.pick(['a', 'python', 'main.py', '10ms', '5', 'YQ==', '**']);
    if (schema['type'] === 'number' || schema['type'] === 'integer')
      return this.pick([1, 100, 4_194_304, 1e6]);
    return this.pick(hostile);
  }

  #object(schema: Schema): unknown {
    const properties = Object.entries((schema['properties'] ?? {}) as Record<string, Schema>); // as JSON Schema has it
    const chosen = properties.filter(() => this.chance(0.5));
    const entries = chosen.map(([name, part]): [string, unknown] => [name, this.value(part)]);
    if (schema['additionalProperties'] !== undefined || this.chance(this.spoil)) {
      entries.push([String(this.pick(hostile)), this.pick(hostile)]);
    }
    return Object.fromEntries(entries);
  }

  #array(schema: Schema): unknown {
    const length = this.pick([0, 1, 2]);
    return Array.from({ length }, () => this.value((schema['items'] ?? {}) as Schema)); // as JSON Schema has it
  }
}

interface Operation {
  readonly path: string;
  readonly method: 'GET' | 'POST';
  readonly parameters: readonly { name: string; in: string; schema: Schema }[];
  readonly body: Schema | undefined;
}

function operationsOf(document: {
  paths: Record<string, Record<string, Record<string, unknown>>>;
}): Operation[] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      path,
      method: method === 'post' ? ('POST' as const) : ('GET' as const),
      parameters: (operation['parameters'] ?? []) as Operation['parameters'], // as OpenAPI has it
      body: Object(operation['requestBody']).content?.['application/json']?.schema,
    })),
  );
}

test(`${requests} requests made from the OpenAPI document give no 5xx`, async (t) => {
  const { app, ann, runs } = await createHttpStage();
  t.after(() => app.close());
  const document = (await app.inject({ url: '/openapi.json' })).json();
  const operations = operationsOf(document);
  const generator = new Generator(document.components.schemas);
  const statuses = new Map<number, number>();
  for (let count = 0; count < requests; count++) {
    generator.spoil = count % 2 === 0 ? 0 : 0.3;
    const { path, method, parameters, body } = generator.pick(operations);
    const known = [...runs.runs.keys()];
    let url = path.replace(/\{(\w+)\}/g, (_, name: string) => {
      if (name === 'id' && known.length > 0 && generator.chance(0.7)) return generator.pick(known);
      return encodeURIComponent(String(generator.pick(hostile)).toWellFormed());
    });
    const query = parameters.filter((parameter) => parameter.in === 'query' && generator.chance(0.4));
    const texts = query.map(({ name, schema }): [string, string] => [
      name,
      String(generator.value(schema)).toWellFormed(),
    ]);
    if (texts.length > 0) url += `?${new URLSearchParams(texts)}`;
    url = url.replace(/wait=\d+m(&|$)/, 'wait=5ms$1');
    const payload = body === undefined ? undefined : JSON.stringify(generator.value(body));
    const headers = { ...ann, ...(payload !== undefined && { 'content-type': 'application/json' }) };
    const reply = await app.inject({ method, url, headers, ...(payload !== undefined && { payload }) });
    const what = `request ${count}: ${method} ${url} ${payload?.slice(0, 500)} → ${reply.body.slice(0, 500)}`;
    assert.ok(reply.statusCode < 500, what);
    if (reply.statusCode >= 400)
      assert.equal(reply.headers['content-type'], 'application/problem+json', what);
    statuses.set(reply.statusCode, (statuses.get(reply.statusCode) ?? 0) + 1);
  }
  for (const status of [200, 201, 400, 404]) assert.ok((statuses.get(status) ?? 0) > 20, `${[...statuses]}`);
});
