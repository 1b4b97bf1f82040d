import { problems, waitQuery } from '../../api/requests.ts';
import { runViewSchema } from '../../api/run-view.ts';
import { submitRequestSchema } from '../../api/submit-request.ts';
import type { App } from '../app-type.ts';
import { callerOf } from '../authentication.ts';
import { toFinishedView, waitAtMost } from '../run-replies.ts';
import type { HttpServices } from '../services.ts';
import { toRunOrder } from '../submission.ts';

/** `POST /v1/runs`: accepts a run; once it has answered, the run is not lost. */
export function submitRun(app: App, services: HttpServices): void {
  const schema = {
    summary: 'Submit a run',
    tags: ['runs'],
    body: submitRequestSchema,
    querystring: waitQuery,
    response: { 201: runViewSchema, ...problems },
  };
  app.post('/v1/runs', { schema }, async (request, reply) => {
    const caller = callerOf(request);
    const order = await toRunOrder(request.body, services, request.gone);
    const run = await services.runs.submit({
      namespace: caller.namespace,
      principal: caller.id,
      order,
      labels: request.body.labels ?? {},
    });
    reply.code(201).header('location', `/v1/runs/${run.id}`);
    return toFinishedView(await waitAtMost(request.query.wait, run, { request, services }), services);
  });
}
