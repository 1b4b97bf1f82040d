/**
 * What keeps a browser on this machine from being used against the API: only local names in the Host header
 * (against DNS rebinding), no state change from another origin, no CORS, and headers that make nothing that
 * is served executable. There are no cookies at all.
 */
import type { FastifyRequest } from 'fastify';
import { SlipwayError } from '../base/errors.ts';
import { isLoopback } from '../base/loopback.ts';
import type { App } from './app-type.ts';

const securityHeaders = {
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'; sandbox",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
} as const;

const safeMethods = new Set(['GET', 'HEAD']);

export function addGuards(app: App, options: { readonly loopbackOnly: boolean }): void {
  app.addHook('onRequest', async (request, reply) => {
    reply.headers({ ...securityHeaders, 'slipway-request-id': request.id });
    if (options.loopbackOnly) assertLocalHost(request);
    if (!safeMethods.has(request.method)) assertSameOrigin(request);
  });
}

function assertLocalHost(request: FastifyRequest): void {
  const host = request.headers.host ?? '';
  if (isLoopback(host.replace(/:\d*$/, ''))) return;
  throw new SlipwayError(
    'forbidden',
    'host-not-allowed',
    'This server answers only to localhost and loopback addresses in the Host header.',
  );
}

function assertSameOrigin(request: FastifyRequest): void {
  const { origin, host } = request.headers;
  const isForeign = origin !== undefined && origin !== `http://${host}`;
  if (!isForeign && request.headers['sec-fetch-site'] !== 'cross-site') return;
  throw new SlipwayError(
    'forbidden',
    'cross-origin',
    'A page of another origin may not change anything here. Use a client outside the browser.',
  );
}
