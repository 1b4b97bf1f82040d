import { problems, runParams, waitQuery } from '../../api/requests.ts';
import { runViewSchema } from '../../api/run-view.ts';
import type { App } from '../app-type.ts';
import { callerOf, findVisibleRun } from '../authentication.ts';
import { toFinishedView, waitAtMost } from '../run-replies.ts';
import type { HttpServices } from '../services.ts';

/** `GET /v1/runs/:id`: one run; with `?wait=30s` once it has finished. */
export function getRun(app: App, services: HttpServices): void {
  const schema = {
    summary: 'Get a run, or wait for it',
    tags: ['runs'],
    params: runParams,
    querystring: waitQuery,
    response: { 200: runViewSchema, ...problems },
  };
  app.get('/v1/runs/:id', { schema }, async (request) => {
    const run = await findVisibleRun(services.runs, callerOf(request), request.params.id);
    return toFinishedView(await waitAtMost(request.query.wait, run, { request, services }), services);
  });
}
