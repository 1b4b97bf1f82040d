/**
 * The HTTP edge: authentication, validation, problem documents, and one file per operation in `routes/`. It decides
 * nothing about runs (runs/ does) and knows no concrete store or starter (control-plane.ts hands them in). Next:
 * services.ts (what it needs), schemas/ (what callers write and read), problem.ts (statuses).
 */

import type { FastifyBaseLogger } from 'fastify';
import Fastify, { LogController } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { serializerCompiler } from 'fastify-type-provider-zod';
import { randomText } from '../base/ids.ts';
import type { App } from './app-type.ts';
import { addAuthentication } from './authentication.ts';
import { addErrorHandlers, answerClientError, fromThrown, sendProblem } from './errors.ts';
import { addGoneSignal } from './gone.ts';
import { addGuards } from './guards.ts';
import { addOpenApi, openApiRoute } from './openapi.ts';
import { addRequestLog } from './request-log.ts';
import { addRouteTable } from './route-table.ts';
import { cancelRun } from './routes/cancel-run.ts';
import { followRun } from './routes/follow-run.ts';
import { getRun } from './routes/get-run.ts';
import { health, ready } from './routes/health.ts';
import { home } from './routes/home.ts';
import { getImage, listImages } from './routes/images.ts';
import { listFiles } from './routes/list-files.ts';
import { listRuns } from './routes/list-runs.ts';
import { readFile } from './routes/read-file.ts';
import { readLogs } from './routes/read-logs.ts';
import { submitRun } from './routes/submit-run.ts';
import { createToken, listTokens, revokeToken } from './routes/tokens.ts';
import { uploadBlob } from './routes/upload-blob.ts';
import type { HttpServices } from './services.ts';
import { compileValidator } from './validation.ts';

const routes = [
  home,
  health,
  ready,
  submitRun,
  listRuns,
  getRun,
  cancelRun,
  readLogs,
  followRun,
  listFiles,
  readFile,
  uploadBlob,
  listImages,
  getImage,
  createToken,
  listTokens,
  revokeToken,
] as const;

const maxConnections = 1024;

/**
 * A server that does not listen yet: `await app.ready()` and `app.inject` in tests, `app.listen` in control-plane.ts.
 * `app.close()` ends followers and waiters first.
 *
 * @param logger pino or alike; without one nothing is logged
 */
export function createHttpServer(services: HttpServices, logger?: FastifyBaseLogger): App {
  const app: App = Fastify({
    ...(logger !== undefined && { loggerInstance: logger }),
    ...limitsOfHttp(services.settings.maxBodyBytes),
    genReqId: () => `req_${randomText(16)}`,
    logController: new LogController({ disableRequestLogging: true }), // request-log.ts says it in one line
    trustProxy: false,
    return503OnClosing: true,
    forceCloseConnections: 'idle',
    frameworkErrors: (error, request, reply) => sendProblem(fromThrown(error), request, reply),
    clientErrorHandler: answerClientError,
  }).withTypeProvider<ZodTypeProvider>();
  app.server.maxConnections = maxConnections;
  app.setValidatorCompiler(compileValidator);
  app.setSerializerCompiler(serializerCompiler);
  app.removeContentTypeParser('text/plain');
  addOpenApi(app, services.settings.version);
  addRouteTable(app);
  addGuards(app, services.settings);
  addRequestLog(app);
  addGoneSignal(app);
  addAuthentication(app, services.store);
  addErrorHandlers(app);
  app.after(() => {
    for (const addRoute of routes) addRoute(app, services);
    openApiRoute(app);
  });
  return app;
}

/** A request must arrive in time; a reply may take as long as a run that is followed. */
function limitsOfHttp(maxBodyBytes: number) {
  return {
    bodyLimit: maxBodyBytes,
    requestTimeout: 900_000,
    keepAliveTimeout: 30_000,
    connectionTimeout: 0,
    http: { headersTimeout: 15_000, maxHeaderSize: 16 * 1024 },
    onProtoPoisoning: 'error',
    onConstructorPoisoning: 'error',
    routerOptions: { maxParamLength: 1024 },
  } as const;
}
