/** Every failure of a request becomes a problem document: Slipway's own, Fastify's and the HTTP parser's. */
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { problemMediaType } from '../api/views.ts';
import type { ErrorKind } from '../base/errors.ts';
import { isSlipwayError, SlipwayError, toSlipwayError } from '../base/errors.ts';
import type { App } from './app-type.ts';
import { statusOf, toProblem } from './problem.ts';

type Mapped = readonly [kind: ErrorKind, code: string, message: string];

/** Fastify's own errors, by their codes. */
const fastifyErrors: Readonly<Record<string, Mapped>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: [
    'too-large',
    'body-too-large',
    'The body is too large. Upload large files as blobs (POST /v1/blobs).',
  ],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: [
    'unsupported',
    'unsupported-media-type',
    'The body has a Content-Type that is not understood here. Use application/json, or application/octet-stream for blobs.',
  ],
  FST_ERR_CTP_EMPTY_JSON_BODY: [
    'invalid-input',
    'bad-json',
    'The body is empty, but its Content-Type says JSON.',
  ],
  FST_ERR_CTP_INVALID_JSON_BODY: [
    'invalid-input',
    'bad-json',
    'The body is not JSON, or uses the key "__proto__".',
  ],
};

export function addErrorHandlers(app: App): void {
  app.setErrorHandler((thrown, request, reply) => sendProblem(fromThrown(thrown), request, reply));
  app.setNotFoundHandler((request, reply) => sendProblem(notFound(app, request, reply), request, reply));
}

/** Answers with a problem; what failed inside is logged with all its causes. */
export function sendProblem(error: SlipwayError, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const status = statusOf(error);
  if (status >= 500) request.log.error({ err: error, code: error.code }, 'a request failed');
  else request.log.info({ code: error.code, detail: error.message }, 'a request was refused');
  if (status === 503) reply.header('retry-after', '1');
  const body = JSON.stringify(toProblem(error, request.id));
  return reply.code(status).type(problemMediaType).serializer(String).send(body);
}

/** Anything that Fastify or a route can throw. */
export function fromThrown(thrown: unknown): SlipwayError {
  if (isSlipwayError(thrown)) return thrown;
  const mapped = fastifyErrors[textField(thrown, 'code')];
  if (mapped !== undefined) return new SlipwayError(...mapped, { cause: thrown });
  const status = statusField(thrown);
  if (status < 400 || status >= 500) return toSlipwayError(thrown);
  const code = status === 408 ? 'request-timeout' : 'bad-request';
  return new SlipwayError('invalid-input', code, `The request is malformed: ${textField(thrown, 'message')}`);
}

function textField(thrown: unknown, name: string): string {
  const value: unknown =
    typeof thrown === 'object' && thrown !== null ? Reflect.get(thrown, name) : undefined;
  return typeof value === 'string' ? value : '';
}

function statusField(thrown: unknown): number {
  const value: unknown = thrown instanceof Error ? Reflect.get(thrown, 'statusCode') : undefined;
  return typeof value === 'number' ? value : 500;
}

function notFound(app: App, request: FastifyRequest, reply: FastifyReply): SlipwayError {
  const pathname = request.url.split('?')[0] ?? '';
  const allowed = app.methodsAt(pathname);
  if (allowed.length === 0) {
    return new SlipwayError(
      'not-found',
      'route-not-found',
      'There is nothing at this address. /openapi.json lists what there is.',
    );
  }
  reply.header('allow', allowed.join(', '));
  const message = `${request.method} is not possible here; possible: ${allowed.join(', ')}.`;
  return new SlipwayError('invalid-input', 'method-not-allowed', message);
}

/** Requests that are not HTTP at all: no request exists, so the answer is written by hand. */
export function answerClientError(error: Error & { code?: string }, socket: Socket): void {
  if (!socket.writable || socket.destroyed) return;
  const mapped = clientError(error.code ?? '');
  const status = statusOf(mapped);
  const body = JSON.stringify(toProblem(mapped, 'none'));
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: ${problemMediaType}\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}

function clientError(code: string): SlipwayError {
  if (code === 'HPE_HEADER_OVERFLOW')
    return new SlipwayError('too-large', 'headers-too-large', 'The headers are too large.');
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return new SlipwayError('timeout', 'request-timeout', 'The request did not arrive in time.');
  return new SlipwayError('invalid-input', 'bad-request', 'This is not a valid HTTP request.');
}
