/** The types of our Fastify server and of what we put on its requests. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type { Principal } from '../model/principal.ts';

export type App = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  ZodTypeProvider
>;

declare module 'fastify' {
  interface FastifyRequest {
    /** Who asks; null where no valid token came, which only public routes see. */
    principal: Principal | null;
    /** Aborts when the caller has gone or the server stops. */
    gone: AbortSignal;
  }
  interface FastifyContextConfig {
    /** Whether the route answers without a token. */
    public?: boolean;
  }
}
