import { cancelBody, problems, runParams } from '../../api/requests.ts';
import { runViewSchema } from '../../api/run-view.ts';
import type { App } from '../app-type.ts';
import { callerOf, findVisibleRun } from '../authentication.ts';
import { toFinishedView } from '../run-replies.ts';
import type { HttpServices } from '../services.ts';

/**
 * `POST /v1/runs/:id/cancel`: asks for the end of a run, waiting or running. It may still finish by itself
 * first, and cancelling a finished run changes nothing; the reply is the run as it is then.
 */
export function cancelRun(app: App, services: HttpServices): void {
  const schema = {
    summary: 'Cancel a run',
    tags: ['runs'],
    params: runParams,
    body: cancelBody,
    response: { 200: runViewSchema, ...problems },
  };
  app.post('/v1/runs/:id/cancel', { schema }, async (request) => {
    const caller = callerOf(request);
    const run = await findVisibleRun(services.runs, caller, request.params.id);
    const reason = request.body?.reason ?? `cancelled by ${caller.name}`;
    return toFinishedView(await services.runs.cancel(run.id, reason), services);
  });
}
