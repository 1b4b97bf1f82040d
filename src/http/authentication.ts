/** Who asks: bearer tokens (RFC 6750, the header form only), and what each principal may see. */
import type { FastifyRequest } from 'fastify';
import { SlipwayError } from '../base/errors.ts';
import { isId } from '../base/ids.ts';
import type { Principal } from '../model/principal.ts';
import type { Run } from '../model/run.ts';
import type { App } from './app-type.ts';
import type { HttpServices, RunService } from './services.ts';
import { hashToken, isTokenSecret } from './token.ts';

/** Demands a valid token on every route that is not marked public, before anything of the body is read. */
export function addAuthentication(app: App, store: HttpServices['store']): void {
  app.decorateRequest('principal', null);
  app.addHook('onRequest', async (request, reply) => {
    request.principal = await findPrincipal(request.headers.authorization, store);
    if (request.principal !== null || request.is404 || request.routeOptions.config.public === true) return;
    reply.header('www-authenticate', 'Bearer realm="slipway"');
    throw unauthenticated(request.headers.authorization);
  });
}

async function findPrincipal(
  header: string | undefined,
  store: HttpServices['store'],
): Promise<Principal | null> {
  const secret = /^Bearer +(\S+)$/i.exec(header ?? '')?.[1];
  if (secret === undefined || !isTokenSecret(secret)) return null;
  const found = await store.findByTokenHash(hashToken(secret));
  return found?.principal ?? null;
}

function unauthenticated(header: string | undefined): SlipwayError {
  if (header !== undefined) {
    const message =
      'The token is not valid: it is unknown, revoked, or not of the form "Authorization: Bearer slw_…".';
    return new SlipwayError('unauthenticated', 'token-invalid', message);
  }
  return new SlipwayError(
    'unauthenticated',
    'token-missing',
    'This needs a token: send the header "Authorization: Bearer slw_…". The first one is in the file control/admin-token of the state directory.',
  );
}

/** The principal of a route that demands one. */
export function callerOf(request: FastifyRequest): Principal {
  if (request.principal === null) throw unauthenticated(undefined);
  return request.principal;
}

/**
 * The principal of a route for operators.
 *
 * @throws SlipwayError `operators-only`
 */
export function operatorOf(request: FastifyRequest): Principal {
  const caller = callerOf(request);
  if (caller.role === 'operator') return caller;
  throw new SlipwayError('forbidden', 'operators-only', 'This is for operators. Ask one of yours.');
}

/**
 * A run that the caller may see: its own, or any of its namespace for an operator.
 *
 * @throws SlipwayError `run-not-found`, the same whether it does not exist or belongs to somebody else
 */
export async function findVisibleRun(runs: RunService, caller: Principal, id: string): Promise<Run> {
  const run = isId('run', id) ? await runs.get(id) : undefined;
  if (run !== undefined && maySee(caller, run)) return run;
  throw new SlipwayError('not-found', 'run-not-found', `There is no run ${shown(id)} that you may see.`);
}

function maySee(caller: Principal, run: Run): boolean {
  if (run.namespace !== caller.namespace) return false;
  return caller.role === 'operator' || run.principal === caller.id;
}

function shown(id: string): string {
  return JSON.stringify(id.slice(0, 64));
}
