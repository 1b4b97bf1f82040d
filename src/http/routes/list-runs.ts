import { listQuery, problems } from '../../api/requests.ts';
import { runListSchema } from '../../api/run-view.ts';
import type { App } from '../app-type.ts';
import { callerOf } from '../authentication.ts';
import type { HttpServices } from '../services.ts';
import { toRunSummary } from '../views.ts';

/** `GET /v1/runs`: the caller's runs, newest first; an operator sees all of its namespace. */
export function listRuns(app: App, services: HttpServices): void {
  const schema = {
    summary: 'List runs, newest first',
    tags: ['runs'],
    querystring: listQuery,
    response: { 200: runListSchema, ...problems },
  };
  app.get('/v1/runs', { schema }, async (request) => {
    const caller = callerOf(request);
    const { limit, before, state } = request.query;
    const page = await services.runs.list({
      namespace: caller.namespace,
      ...(caller.role !== 'operator' && { principal: caller.id }),
      ...(state !== undefined && { states: [state] }),
      ...(before !== undefined && { before }),
      limit: Number(limit),
    });
    return { runs: page.runs.map(toRunSummary), next: page.next ?? null };
  });
}
