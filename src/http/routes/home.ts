import { z } from 'zod';
import type { App } from '../app-type.ts';
import type { HttpServices } from '../services.ts';

/** `GET /`: what this is, for whoever points a browser or curl at it. */
export function home(app: App, { settings }: HttpServices): void {
  const text = [
    `Slipway ${settings.version} runs other people's code beside your data, each run in a disposable sandbox.`,
    '',
    'The API:    /openapi.json (OpenAPI 3.1), with a guide in docs/api.md',
    'Is it well? /health and /ready',
    'Try:        slipway run script.py',
    '',
  ].join('\n');
  const schema = {
    summary: 'What this is',
    tags: ['service'],
    response: { 200: { description: 'A note.', content: { 'text/plain': { schema: z.string() } } } },
  };
  app.get('/', { schema, config: { public: true } }, async (_request, reply) => {
    return reply.type('text/plain; charset=utf-8').serializer(String).send(text);
  });
}
