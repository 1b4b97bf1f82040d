/**
 * The starter's end of the starter protocol (docs/starter-protocol.md): answers a control plane over HTTP/2 on
 * any duplex stream. The control plane counts as possibly compromised: everything is parsed and capped here, and
 * an execution lives no longer than the stream that asked for it.
 */
import { createServer, type Http2Server, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import type { Duplex } from 'node:stream';
import { SlipwayError, toSlipwayError } from '../../base/errors.ts';
import { readFrames } from '../../base/frames.ts';
import type { Execution, Starter } from '../starter.ts';
import { FrameReader } from './frame-stream.ts';
import {
  announcementSchema,
  cancelSchema,
  http2Settings,
  parseMessage,
  sessionWindowBytes,
} from './protocol.ts';
import { serveExecution } from './serve-execution.ts';

export interface StarterServer {
  /** Serves one control plane on a connected stream, until it closes. */
  accept(connection: Duplex): void;
  close(): void;
}

export interface StarterServerOptions {
  readonly starter: Starter;
  /** The control plane says where it serves. */
  readonly onAnnounced: (url: string) => void;
}

export function serveStarter(options: StarterServerOptions): StarterServer {
  const server: Http2Server = createServer({ settings: http2Settings, maxSessionMemory: 1024 });
  const running = new Map<string, Execution>();
  server.on('session', (session) => {
    session.setLocalWindowSize(sessionWindowBytes);
    session.on('error', () => undefined); // its streams abort, which is all that there is to do
  });
  server.on('stream', (stream, headers) => {
    stream.on('error', () => undefined);
    respond({ ...options, running }, stream, headers).catch((error) => refuse(stream, error));
  });
  return {
    accept: (connection) => server.emit('connection', connection),
    close: () => server.close(),
  };
}

interface Serving extends StarterServerOptions {
  readonly running: Map<string, Execution>;
}

async function respond(
  serving: Serving,
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
): Promise<void> {
  const [resource, id, action, ...rest] = parsePath(headers[':path']);
  const method = headers[':method'];
  const signal = closedSignal(stream);
  if (rest.length > 0) throw unknownRoute();
  if (method === 'GET' && resource === 'probe') return reply(stream, await serving.starter.probe(signal));
  if (method === 'GET' && resource === 'images' && id === undefined) {
    return reply(stream, await serving.starter.listImages(signal));
  }
  if (method === 'GET' && resource === 'images' && id !== undefined) {
    return reply(stream, await serving.starter.resolveImage(id, signal));
  }
  if (method === 'POST' && resource === 'announcement') return await hearAnnouncement(serving, stream);
  if (method !== 'POST' || resource !== 'executions' || id === undefined) throw unknownRoute();
  if (action === 'cancel') return await cancel(serving, stream, id);
  await execute(serving, { stream, id, signal });
}

function parsePath(path: string | undefined): string[] {
  const [version, ...parts] = (path ?? '').slice(1).split('/').map(decodeURIComponent);
  if (version !== 'v1') throw unknownRoute();
  return parts;
}

function unknownRoute(): SlipwayError {
  return new SlipwayError('not-found', 'bad-starter-message', 'The starter does not know this request.');
}

/** Aborts when the stream is closed, for whatever reason. */
function closedSignal(stream: ServerHttp2Stream): AbortSignal {
  const controller = new AbortController();
  stream.once('close', () =>
    controller.abort(new SlipwayError('cancelled', 'caller-gone', 'The caller is gone.')),
  );
  return controller.signal;
}

function reply(stream: ServerHttp2Stream, value: unknown): void {
  if (stream.destroyed) return;
  stream.respond({ ':status': 200, 'content-type': 'application/json' });
  stream.end(JSON.stringify(value));
}

function refuse(stream: ServerHttp2Stream, thrown: unknown): void {
  if (stream.destroyed || stream.headersSent) {
    stream.destroy();
    return;
  }
  const { kind, code, message, details } = toSlipwayError(thrown);
  stream.respond({ ':status': 400, 'content-type': 'application/json' });
  stream.end(JSON.stringify({ kind, code, message, details }));
}

async function hearAnnouncement(serving: Serving, stream: ServerHttp2Stream): Promise<void> {
  serving.onAnnounced(parseMessage(announcementSchema, await onlyMessage(stream)).url);
  reply(stream, {});
}

async function cancel(serving: Serving, stream: ServerHttp2Stream, id: string): Promise<void> {
  const { reason, graceMs } = parseMessage(cancelSchema, await onlyMessage(stream));
  serving.running.get(id)?.cancel(reason, graceMs);
  reply(stream, {});
}

async function onlyMessage(stream: ServerHttp2Stream): Promise<unknown> {
  return await new FrameReader(readFrames(stream, 16 * 1024)).message();
}

interface ExecutionRequest {
  readonly stream: ServerHttp2Stream;
  readonly id: string;
  readonly signal: AbortSignal;
}

async function execute(serving: Serving, { stream, id, signal }: ExecutionRequest): Promise<void> {
  if (serving.running.has(id))
    throw new SlipwayError('conflict', 'bad-starter-message', 'This execution runs.');
  stream.respond({ ':status': 200, 'content-type': 'application/octet-stream' });
  const track = (execution: Execution) => serving.running.set(id, execution);
  try {
    await serveExecution({ starter: serving.starter, stream, track }, signal);
  } finally {
    serving.running.delete(id);
  }
}
