import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { logsQuery, problems, runParams } from '../../api/requests.ts';
import { logLineSchema } from '../../api/views.ts';
import type { Run } from '../../model/run.ts';
import { isFinished } from '../../model/run.ts';
import type { App } from '../app-type.ts';
import { callerOf, findVisibleRun } from '../authentication.ts';
import { DroppedBytes, linesOf, measureLog, onlyStream, outputOf } from '../log-streams.ts';
import type { HttpServices } from '../services.ts';

const ndjson = 'application/x-ndjson';
const droppedHeader = 'slipway-dropped-bytes';

type LogsQuery = z.infer<typeof logsQuery>;

/** `GET /v1/runs/:id/logs`: the output byte for byte, or as lines of JSON that also tell streams and cuts. */
export function readLogs(app: App, services: HttpServices): void {
  const schema = {
    summary: 'Read or follow the output of a run',
    description: `As application/octet-stream: the bytes that the program wrote; the header (or, while the run is not finished, the trailer) ${droppedHeader} tells how many were not kept. With Accept: ${ndjson}: one JSON object per line.`,
    tags: ['runs'],
    params: runParams,
    querystring: logsQuery,
    response: {
      200: {
        description: 'The output.',
        content: {
          'application/octet-stream': { schema: z.string() },
          [ndjson]: { schema: logLineSchema },
        },
      },
      ...problems,
    },
  };
  app.get('/v1/runs/:id/logs', { schema }, async (request, reply) => {
    const run = await findVisibleRun(services.runs, callerOf(request), request.params.id);
    const asLines = (request.headers.accept ?? '').includes(ndjson);
    const send = asLines ? sendLines : sendBytes;
    return send(run, { request, reply, services, query: request.query });
  });
}

interface LogReply {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly services: HttpServices;
  readonly query: LogsQuery;
}

function recordsOf(run: Run, { request, services, query }: LogReply) {
  const follow = query.follow === 'true' && !isFinished(run.status);
  const records = services.runs.readLog(run.id, { follow, signal: request.gone });
  return onlyStream(records, query.stream);
}

async function sendLines(run: Run, context: LogReply): Promise<FastifyReply> {
  const lines = Readable.from(headersFirst(linesOf(recordsOf(run, context)), context.reply), {
    objectMode: false,
  });
  return context.reply.type(ndjson).serializer(String).send(lines);
}

/** A finished log is measured first, so that its length and what was dropped can be told in headers. */
async function sendBytes(run: Run, context: LogReply): Promise<FastifyReply> {
  const { reply } = context;
  const dropped = new DroppedBytes();
  if (isFinished(run.status)) {
    const measured = await measureLog(recordsOf(run, context));
    reply.header('content-length', measured.keptBytes).header(droppedHeader, measured.droppedBytes);
  } else {
    reply.trailer(droppedHeader, async () => String(dropped.total));
  }
  const output = headersFirst(outputOf(recordsOf(run, context), dropped), reply);
  const bytes = Readable.from(output, { objectMode: false });
  return reply.type('application/octet-stream').send(bytes);
}

/** Sends the headers when the stream is first asked for something, and not with the first output, which may take long. */
async function* headersFirst<Piece>(
  pieces: AsyncIterable<Piece>,
  reply: FastifyReply,
): AsyncGenerator<Piece> {
  reply.raw.flushHeaders();
  yield* pieces;
}
