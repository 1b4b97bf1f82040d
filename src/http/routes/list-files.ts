import { problems, runParams } from '../../api/requests.ts';
import { fileListSchema } from '../../api/run-view.ts';
import type { App } from '../app-type.ts';
import { callerOf, findVisibleRun } from '../authentication.ts';
import type { HttpServices } from '../services.ts';
import { toFileList } from '../views.ts';

/** `GET /v1/runs/:id/files`: what the program left in /work; empty until the run has finished. */
export function listFiles(app: App, services: HttpServices): void {
  const schema = {
    summary: 'List the result files of a run',
    tags: ['runs'],
    params: runParams,
    response: { 200: fileListSchema, ...problems },
  };
  app.get('/v1/runs/:id/files', { schema }, async (request) => {
    return toFileList(await findVisibleRun(services.runs, callerOf(request), request.params.id));
  });
}
