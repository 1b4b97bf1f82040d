import { Readable } from 'node:stream';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { eventHeaders, problems, runParams } from '../../api/requests.ts';
import type { RunEvent } from '../../api/run-view.ts';
import { runEventSchema } from '../../api/run-view.ts';
import { isFinished } from '../../model/run.ts';
import type { RunUpdate } from '../../runs/follow-run.ts';
import type { App } from '../app-type.ts';
import { callerOf, findVisibleRun } from '../authentication.ts';
import { formatEventId, isLastPlace, parseEventId } from '../event-id.ts';
import { closeWhenStalled, encodeEvent, heartbeat, streamStart, withPauses } from '../event-stream.ts';
import { toLogLine } from '../log-streams.ts';
import type { HttpServices } from '../services.ts';
import { toRunSummary } from '../views.ts';

/** A silent connection gets a comment this often, in ms. */
const heartbeatMs = 15_000;
/** A reader that takes nothing for so long, although there is something, can connect again, in ms. */
const stallMs = 60_000;

/**
 * `GET /v1/runs/:id/events`: states and output as they come, ended by `finished`. Bounded memory for each reader,
 * however slow: what it has not taken stays on disk.
 */
export function followRun(app: App, services: HttpServices): void {
  const schema = {
    summary: 'Follow a run: server-sent events',
    description:
      'The events state, output, cut and finished, which is the last. After a lost connection send the id of the last event as Last-Event-ID: nothing is lost, nothing comes twice. A comment comes every 15 s of silence.',
    tags: ['runs'],
    params: runParams,
    headers: eventHeaders,
    response: {
      200: {
        description: 'One event for each thing that happens; the schema is that of its data.',
        content: { 'text/event-stream': { schema: runEventSchema } },
      },
      204: z.null().describe('The reader knows all: its last event was the last.'),
      ...problems,
    },
  };
  app.get('/v1/runs/:id/events', { schema }, async (request, reply) => {
    const run = await findVisibleRun(services.runs, callerOf(request), request.params.id);
    const after = parseEventId(request.headers['last-event-id']);
    if (isLastPlace(after)) return reply.code(204).send(null);
    const updates = services.runs.follow(run.id, { after, signal: request.gone });
    return sendUpdates(updates, reply);
  });
}

function sendUpdates(updates: AsyncIterable<RunUpdate>, reply: FastifyReply): FastifyReply {
  const close = () => reply.raw.destroy();
  const texts = closeWhenStalled(toTexts(updates), stallMs, close);
  const stream = Readable.from(texts, { objectMode: false });
  return reply.type('text/event-stream').serializer(String).send(stream);
}

async function* toTexts(updates: AsyncIterable<RunUpdate>): AsyncGenerator<string> {
  yield streamStart;
  for await (const update of withPauses(updates, heartbeatMs)) {
    yield update === undefined ? heartbeat : toText(update);
  }
}

function toText(update: RunUpdate): string {
  const data = toRunEvent(update);
  return encodeEvent({ id: formatEventId(update.place), event: data.type, data });
}

function toRunEvent(update: RunUpdate): RunEvent {
  if (update.kind === 'record') return toLogLine(update.record);
  return { type: isFinished(update.run.status) ? 'finished' : 'state', run: toRunSummary(update.run) };
}
