/**
 * The typed HTTP client: the API of docs/api.md as functions. Used by the CLI, the tests and anybody. Replies
 * are parsed by the schemas that the server writes with (api/); problem documents become SlipwayErrors with
 * their kind and code. It knows nothing of files and terminals (cli/ does).
 */
import type { IncomingMessage } from 'node:http';
import type { z } from 'zod';
import type { FileList, RunList, RunView } from '../api/run-view.ts';
import { fileListSchema, runListSchema, runViewSchema } from '../api/run-view.ts';
import type { SubmitRequestInput } from '../api/submit-request.ts';
import type { CreateTokenRequest, IssuedTokenView, TokenList, TokenView } from '../api/token-view.ts';
import { issuedTokenSchema, tokenListSchema, tokenViewSchema } from '../api/token-view.ts';
import type { BlobView, ImageList, ImageView, Readiness } from '../api/views.ts';
import { blobViewSchema, imageListSchema, imageViewSchema, readinessSchema } from '../api/views.ts';
import type { Digest } from '../base/digest.ts';
import { SlipwayError } from '../base/errors.ts';
import type { LogRecord } from '../model/output-log.ts';
import type { StreamName } from '../model/program.ts';
import type { RunState } from '../model/run.ts';
import type { FollowOptions, RunUpdate } from './follow-run.ts';
import { followRun } from './follow-run.ts';
import { readLogLines } from './log-lines.ts';
import { throwProblem } from './problem-reply.ts';
import type { Exchange, Target } from './transport.ts';
import { badReply, exchange, readText } from './transport.ts';

/** How long one request waits for a run; then the client asks again. */
const waitPerRequest = '60s';

export interface ListRunsQuery {
  readonly limit?: number;
  readonly before?: string;
  readonly state?: RunState;
}

export interface ReadLogQuery {
  readonly stream?: StreamName;
  readonly follow?: boolean;
}

/** Every method rejects with a SlipwayError: the server's own kind and code, or `server-unreachable`. */
export interface Client {
  readonly url: string;
  submitRun(request: SubmitRequestInput, signal?: AbortSignal): Promise<RunView>;
  getRun(id: string, signal?: AbortSignal): Promise<RunView>;
  /** Resolves once the run has finished, however long that takes. */
  waitRun(id: string, signal?: AbortSignal): Promise<RunView>;
  listRuns(query?: ListRunsQuery, signal?: AbortSignal): Promise<RunList>;
  cancelRun(id: string, reason?: string, signal?: AbortSignal): Promise<RunView>;
  /** The output with its streams and cuts told apart. */
  readLog(id: string, query?: ReadLogQuery, signal?: AbortSignal): AsyncIterable<LogRecord>;
  /** States and output from the beginning until the run has finished, over lost connections and restarts. */
  followRun(id: string, options?: FollowOptions): AsyncIterable<RunUpdate>;
  /** The output alone of `followRun`. */
  followLog(id: string, options?: FollowOptions): AsyncIterable<LogRecord>;
  listFiles(id: string, signal?: AbortSignal): Promise<FileList>;
  readFile(id: string, path: string, signal?: AbortSignal): AsyncIterable<Uint8Array>;
  uploadBlob(content: AsyncIterable<Uint8Array>, expected?: Digest, signal?: AbortSignal): Promise<BlobView>;
  listImages(signal?: AbortSignal): Promise<ImageList>;
  getImage(reference: string, signal?: AbortSignal): Promise<ImageView>;
  /** For operators, as the next two. The secret is in no other reply. */
  createToken(request: CreateTokenRequest, signal?: AbortSignal): Promise<IssuedTokenView>;
  listTokens(signal?: AbortSignal): Promise<TokenList>;
  revokeToken(id: string, signal?: AbortSignal): Promise<TokenView>;
  /** Whether runs can be executed now, with reasons; does not throw when not. */
  readiness(signal?: AbortSignal): Promise<Readiness>;
}

export function createClient(target: Target): Client {
  const client: Client = {
    url: target.url,
    submitRun: (request, signal) => post(target, '/v1/runs', runViewSchema, { body: request, signal }),
    getRun: (id, signal) => get(target, runPath(id), runViewSchema, signal),
    waitRun: (id, signal) => waitRun(target, id, signal),
    listRuns: (query, signal) => get(target, `/v1/runs${queryText({ ...query })}`, runListSchema, signal),
    cancelRun: (id, reason, signal) =>
      post(target, `${runPath(id)}/cancel`, runViewSchema, { body: { reason }, signal }),
    readLog: (id, query, signal) => readLog(target, id, { query, signal }),
    followRun: (id, options = {}) =>
      followRun((last) => openEvents(target, id, { last, ...options }), options),
    followLog: (id, options) => onlyRecords(client.followRun(id, options)),
    listFiles: (id, signal) => get(target, `${runPath(id)}/files`, fileListSchema, signal),
    readFile: (id, path, signal) => readBytes(target, `${runPath(id)}/files/${encodePath(path)}`, signal),
    uploadBlob: (content, expected, signal) => uploadBlob(target, content, { digest: expected, signal }),
    listImages: (signal) => get(target, '/v1/images', imageListSchema, signal),
    getImage: (reference, signal) =>
      get(target, `/v1/images/${encodePath(reference)}`, imageViewSchema, signal),
    createToken: (request, signal) =>
      post(target, '/v1/tokens', issuedTokenSchema, { body: request, signal }),
    listTokens: (signal) => get(target, '/v1/tokens', tokenListSchema, signal),
    revokeToken: (id, signal) =>
      post(target, `/v1/tokens/${encodeURIComponent(id)}/revoke`, tokenViewSchema, {
        body: undefined,
        signal,
      }),
    readiness: (signal) => readiness(target, signal),
  };
  return client;
}

async function get<Shape extends z.ZodType>(
  target: Target,
  path: string,
  shape: Shape,
  signal?: AbortSignal,
): Promise<z.infer<Shape>> {
  return parseReply(await succeed(target, { method: 'GET', path, signal }), shape);
}

async function post<Shape extends z.ZodType>(
  target: Target,
  path: string,
  shape: Shape,
  { body, signal }: { readonly body: object | undefined; readonly signal: AbortSignal | undefined },
): Promise<z.infer<Shape>> {
  const content = body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  return parseReply(await succeed(target, { method: 'POST', path, ...content, signal }), shape);
}

async function waitRun(target: Target, id: string, signal?: AbortSignal): Promise<RunView> {
  for (;;) {
    const path = `${runPath(id)}?wait=${waitPerRequest}`;
    const run = await get(target, path, runViewSchema, signal);
    if (run.finished) return run;
  }
}

interface LogRequest {
  readonly query: ReadLogQuery | undefined;
  readonly signal: AbortSignal | undefined;
}

async function* readLog(
  target: Target,
  id: string,
  { query, signal }: LogRequest,
): AsyncGenerator<LogRecord> {
  const headers = { accept: 'application/x-ndjson' };
  const path = `${runPath(id)}/logs${queryText({ ...query })}`;
  yield* readLogLines(await succeed(target, { method: 'GET', path, headers, signal }));
}

interface EventsRequest {
  readonly last: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

async function openEvents(
  target: Target,
  id: string,
  { last, signal }: EventsRequest,
): Promise<IncomingMessage> {
  const headers = { accept: 'text/event-stream', ...(last !== undefined && { 'last-event-id': last }) };
  const reply = await succeed(target, { method: 'GET', path: `${runPath(id)}/events`, headers, signal });
  if (reply.headers['content-type']?.startsWith('text/event-stream')) return reply;
  reply.destroy();
  throw badReply('it is not a stream of events');
}

async function* onlyRecords(updates: AsyncIterable<RunUpdate>): AsyncGenerator<LogRecord> {
  for await (const update of updates) {
    if (update.kind === 'output' || update.kind === 'cut') yield update;
  }
}

async function* readBytes(target: Target, path: string, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  yield* await succeed(target, { method: 'GET', path, signal });
}

async function uploadBlob(
  target: Target,
  content: AsyncIterable<Uint8Array>,
  { digest, signal }: { readonly digest: Digest | undefined; readonly signal: AbortSignal | undefined },
): Promise<BlobView> {
  const headers = { 'content-type': 'application/octet-stream' };
  const path = `/v1/blobs${queryText({ digest })}`;
  return parseReply(
    await succeed(target, { method: 'POST', path, headers, body: content, signal }),
    blobViewSchema,
  );
}

async function readiness(target: Target, signal?: AbortSignal): Promise<Readiness> {
  const reply = await exchange(target, { method: 'GET', path: '/ready', signal });
  return parseReply(reply, readinessSchema);
}

async function succeed(target: Target, request: Exchange): Promise<IncomingMessage> {
  const reply = await exchange(target, request);
  const status = reply.statusCode ?? 0;
  if (status >= 200 && status < 300) return reply;
  return throwProblem(reply, status);
}

async function parseReply<Shape extends z.ZodType>(
  reply: IncomingMessage,
  shape: Shape,
): Promise<z.infer<Shape>> {
  const text = await readText(reply);
  try {
    return shape.parse(JSON.parse(text));
  } catch (cause) {
    throw cause instanceof SlipwayError ? cause : badReply('it has an unexpected shape', cause);
  }
}

function runPath(id: string): string {
  return `/v1/runs/${encodeURIComponent(id)}`;
}

function encodePath(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/');
}

function queryText(query: Readonly<Record<string, string | number | boolean | undefined>>): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined);
  const pairs = given.map(([name, value]): [string, string] => [name, String(value)]);
  return pairs.length === 0 ? '' : `?${new URLSearchParams(pairs)}`;
}
