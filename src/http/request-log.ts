/** One line for each request, when it has been answered: who asked for what, and how it went. */
import type { App } from './app-type.ts';

export function addRequestLog(app: App): void {
  app.addHook('onResponse', async (request, reply) => {
    const fields = {
      method: request.method,
      path: request.url.split('?')[0],
      status: reply.statusCode,
      ms: Math.round(reply.elapsedTime),
      principal: request.principal?.name,
    };
    request.log.info(fields, 'answered');
  });
}
