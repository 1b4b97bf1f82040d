/** The OpenAPI 3.1 document, generated from the schemas that validate, at `/openapi.json`. */
import swagger from '@fastify/swagger';
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod';
import type { App } from './app-type.ts';

/** Routes whose last part is the rest of the path: how that part is called in the document. */
const restNames: Readonly<Record<string, string>> = {
  '/v1/runs/:id/files/*': 'path',
  '/v1/images/*': 'reference',
};

/** Registers the generator; must come before the routes. */
export function addOpenApi(app: App, version: string): void {
  app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Slipway', version, description: 'Runs of code in disposable sandboxes.' },
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer', bearerFormat: 'slw_…' } } },
      security: [{ token: [] }],
    },
    transform: (document) => {
      const transformed = jsonSchemaTransform(document);
      const security = document.route.config?.public === true ? [] : undefined;
      const schema = { ...transformed.schema, ...(security !== undefined && { security }) };
      return { schema: nameRest(schema, transformed.url), url: restUrl(transformed.url) };
    },
    transformObject: (document) => withoutUnused(jsonSchemaTransformObject(document)),
  });
}

/** The route itself; must come after the others. */
export function openApiRoute(app: App): void {
  app.get('/openapi.json', { schema: { hide: true }, config: { public: true } }, async (_request, reply) => {
    return reply.type('application/json').serializer(String).send(JSON.stringify(app.swagger()));
  });
}

function restUrl(url: string): string {
  const name = restNames[url];
  return name === undefined ? url : url.replace(/\*$/, `:${name}`);
}

/** The parameter `*` under its name in the document. */
function nameRest<Schema extends object>(schema: Schema, url: string): Schema {
  const name = restNames[url];
  if (name === undefined) return schema;
  return JSON.parse(JSON.stringify(schema).replaceAll('"*"', JSON.stringify(name)));
}

/** Every named shape comes in two variants, as it is written and as it is read; only those in use are kept. */
function withoutUnused<Document extends ReturnType<typeof jsonSchemaTransformObject>>(
  document: Document,
): Document {
  if (!('components' in document)) return document;
  const all = document.components?.schemas ?? {};
  const used = new Set<string>();
  const visit = (part: unknown) => {
    for (const name of namesIn(part)) {
      if (used.has(name)) continue;
      used.add(name);
      visit(all[name]);
    }
  };
  visit(document.paths);
  const schemas = Object.fromEntries(Object.entries(all).filter(([name]) => used.has(name)));
  return { ...document, components: { ...document.components, schemas } };
}

function namesIn(part: unknown): string[] {
  const references = JSON.stringify(part ?? null).matchAll(/#\/components\/schemas\/([A-Za-z]+)/g);
  return [...references].map(([, name]) => name ?? '');
}
