import { Readable } from 'node:stream';
import type { FastifyReply } from 'fastify';
import { bytesReply, problems, runFileParams } from '../../api/requests.ts';
import { SlipwayError } from '../../base/errors.ts';
import type { FileRef, Run } from '../../model/run.ts';
import type { App } from '../app-type.ts';
import { callerOf, findVisibleRun } from '../authentication.ts';
import type { HttpServices } from '../services.ts';
import { resultOf } from '../views.ts';

/**
 * `GET /v1/runs/:id/files/…`: the content of one result file. It is hostile: always bytes to be saved, never
 * something that a browser would show or run in our origin.
 */
export function readFile(app: App, services: HttpServices): void {
  const schema = {
    summary: 'Read a result file',
    tags: ['runs'],
    params: runFileParams,
    response: { 200: bytesReply('The content.'), ...problems },
  };
  app.get('/v1/runs/:id/files/*', { schema }, async (request, reply) => {
    const run = await findVisibleRun(services.runs, callerOf(request), request.params.id);
    const file = findFile(run, request.params['*']);
    reply.headers({
      'content-length': file.sizeBytes,
      'content-disposition': attachment(file.path),
      etag: `"${file.digest}"`,
    });
    return sendContent(reply, services.blobs.get(file.digest));
  });
}

function sendContent(reply: FastifyReply, content: AsyncIterable<Uint8Array>): FastifyReply {
  return reply.type('application/octet-stream').send(Readable.from(content, { objectMode: false }));
}

function findFile(run: Run, path: string): FileRef {
  const file = resultOf(run)?.files.find((candidate) => candidate.path === path);
  if (file !== undefined) return file;
  const message = `The run ${run.id} has no result file ${JSON.stringify(path.slice(0, 200))}. List them with /v1/runs/${run.id}/files.`;
  throw new SlipwayError('not-found', 'file-not-found', message);
}

/** RFC 6266: the last part of the path, percent-encoded, so that no name can break out of the header. */
function attachment(path: string): string {
  const name = path.split('/').at(-1) ?? 'file';
  const encoded = encodeURIComponent(name).replace(
    /['()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `attachment; filename*=UTF-8''${encoded}`;
}
