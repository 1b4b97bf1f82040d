import { finished, Readable } from 'node:stream';
import { z } from 'zod';
import { problems } from '../../api/requests.ts';
import { digestText } from '../../api/texts.ts';
import { blobViewSchema } from '../../api/views.ts';
import { SlipwayError, systemCode } from '../../base/errors.ts';
import type { App } from '../app-type.ts';
import { callerOf } from '../authentication.ts';
import type { HttpServices } from '../services.ts';

/** A body that stalls for longer is given up, in ms. */
const stallMs = 60_000;
const drainMs = 10_000;

/** `POST /v1/blobs`: stores the body, to be named by its digest in a submission. Never held in memory. */
export function uploadBlob(app: App, services: HttpServices): void {
  const schema = {
    summary: 'Upload a file',
    description: 'The body is the content, as application/octet-stream.',
    tags: ['blobs'],
    consumes: ['application/octet-stream'],
    querystring: z.strictObject({ digest: digestText.optional().describe('What the content must have.') }),
    response: { 201: blobViewSchema, ...problems },
  };
  app.register(async (scope: App) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('application/octet-stream', (_request, payload, done) => done(null, payload));
    scope.post('/v1/blobs', { schema }, async (request, reply) => {
      callerOf(request);
      const body = request.body instanceof Readable ? request.body : Readable.from([]);
      const { digest } = request.query;
      const limits = {
        maxBytes: services.settings.maxBlobBytes,
        ...(digest !== undefined && { expected: digest }),
      };
      reply.code(201);
      return services.blobs.put(bytesOf(body), limits);
    });
  });
}

async function* bytesOf(body: Readable): AsyncGenerator<Uint8Array> {
  const watch = setTimeout(() => body.destroy(stalled()), stallMs);
  try {
    for await (const chunk of body.iterator({ destroyOnReturn: false })) {
      watch.refresh();
      yield chunk;
    }
  } catch (error) {
    if (systemCode(error) !== 'ECONNRESET') throw error;
    throw new SlipwayError('cancelled', 'upload-broken', 'The connection ended before the whole body came.', {
      cause: error,
    });
  } finally {
    clearTimeout(watch);
    if (!body.readableEnded) drain(body);
  }
}

/** What is refused halfway is read on for a while, so that the caller sees the reply and not a reset. */
function drain(body: Readable): void {
  const end = setTimeout(() => body.destroy(), drainMs);
  end.unref();
  finished(body, () => clearTimeout(end));
  body.resume();
}

function stalled(): SlipwayError {
  const message = `Nothing of the body came for ${stallMs / 1000} seconds. Upload it again.`;
  return new SlipwayError('timeout', 'upload-stalled', message);
}
