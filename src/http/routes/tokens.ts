import { problems } from '../../api/requests.ts';
import {
  createTokenRequestSchema,
  issuedTokenSchema,
  tokenListSchema,
  tokenParams,
  tokenViewSchema,
} from '../../api/token-view.ts';
import { SlipwayError } from '../../base/errors.ts';
import { isId } from '../../base/ids.ts';
import type { App } from '../app-type.ts';
import { operatorOf } from '../authentication.ts';
import { issueToken } from '../issue-token.ts';
import type { HttpServices } from '../services.ts';
import { toTokenView } from '../views.ts';

/** `POST /v1/tokens`: a new token in the operator's namespace; the only reply that has the secret. */
export function createToken(app: App, { store, clock }: HttpServices): void {
  const schema = {
    summary: 'Create a token',
    description: 'For operators. A principal of that name is made if there is none.',
    tags: ['tokens'],
    body: createTokenRequestSchema,
    response: { 201: issuedTokenSchema, ...problems },
  };
  app.post('/v1/tokens', { schema }, async (request, reply) => {
    const { namespace } = operatorOf(request);
    const { token, principal, secret } = await issueToken(store, { namespace, ...request.body }, clock);
    reply.code(201);
    return { ...toTokenView({ token, principal }), secret };
  });
}

/** `GET /v1/tokens`: all of the operator's namespace, revoked ones too. */
export function listTokens(app: App, { store }: HttpServices): void {
  const schema = {
    summary: 'List tokens, oldest first',
    description: 'For operators. Secrets are not shown.',
    tags: ['tokens'],
    response: { 200: tokenListSchema, ...problems },
  };
  app.get('/v1/tokens', { schema }, async (request) => {
    const { namespace } = operatorOf(request);
    return { tokens: (await store.listTokens({ namespace })).map(toTokenView) };
  });
}

/** `POST /v1/tokens/:id/revoke`: from its reply on the token opens nothing; its runs stay. */
export function revokeToken(app: App, { store, clock }: HttpServices): void {
  const schema = {
    summary: 'Revoke a token',
    description: 'For operators. A token that is revoked stays as it is.',
    tags: ['tokens'],
    params: tokenParams,
    response: { 200: tokenViewSchema, ...problems },
  };
  app.post('/v1/tokens/:id/revoke', { schema }, async (request) => {
    const { namespace } = operatorOf(request);
    const { id } = request.params;
    if (!isId('token', id)) throw new SlipwayError('not-found', 'token-not-found', 'There is no such token.');
    return toTokenView(await store.revokeToken({ namespace, id, at: clock.now() }));
  });
}
