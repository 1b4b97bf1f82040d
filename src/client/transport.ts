/**
 * One HTTP exchange over TCP or a Unix socket. Node's `http` and not `fetch`: fetch gives up on a reply that
 * is silent for five minutes, and a run that is followed may be; nor does it show trailers or speak to sockets.
 */
import http from 'node:http';
import https from 'node:https';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { messageOf, SlipwayError, systemCode } from '../base/errors.ts';

export interface Target {
  /** `http://127.0.0.1:7070`, `https://…`, or `unix:` and the path of a socket. */
  readonly url: string;
  readonly token?: string | undefined;
}

export interface Exchange {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | AsyncIterable<Uint8Array>;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Sends a request; resolves with the reply once its headers are there, whatever its status.
 *
 * @throws SlipwayError `server-unreachable`, or the signal's reason
 */
export async function exchange(target: Target, request: Exchange): Promise<http.IncomingMessage> {
  const outgoing = open(target, request);
  const reply = replyTo(outgoing);
  const sent = send(outgoing, request.body);
  try {
    return await Promise.race([reply, sent.then(() => reply)]);
  } catch (error) {
    request.signal?.throwIfAborted();
    throw unreachable(target, error);
  }
}

function open(target: Target, { method, path, headers, signal }: Exchange): http.ClientRequest {
  const authorization = target.token === undefined ? {} : { authorization: `Bearer ${target.token}` };
  const options = {
    method,
    headers: { ...authorization, ...headers },
    ...(signal !== undefined && { signal }),
  };
  if (target.url.startsWith('unix:')) {
    return http.request({
      ...options,
      socketPath: target.url.slice('unix:'.length),
      path,
      host: 'localhost',
    });
  }
  const url = new URL(target.url);
  const whole = `${url.origin}${url.pathname.replace(/\/$/, '')}${path}`;
  return (url.protocol === 'https:' ? https : http).request(whole, options);
}

function replyTo(outgoing: http.ClientRequest): Promise<http.IncomingMessage> {
  return new Promise((resolve, reject) => {
    outgoing.once('response', (reply) => {
      reply.once('end', () => giveUpUpload(outgoing));
      resolve(reply);
    });
    outgoing.on('error', reject);
  });
}

/** Whoever has answered in full does not want the rest. */
function giveUpUpload(outgoing: http.ClientRequest): void {
  if (!outgoing.writableFinished) outgoing.destroy();
}

/** A server may refuse before it has read everything; then the reply counts, not the broken upload. */
async function send(outgoing: http.ClientRequest, body: Exchange['body']): Promise<void> {
  if (body === undefined || typeof body === 'string') {
    outgoing.end(body);
    return;
  }
  try {
    await pipeline(Readable.from(body, { objectMode: false }), outgoing);
  } catch (error) {
    if (!['EPIPE', 'ECONNRESET', 'ERR_STREAM_PREMATURE_CLOSE'].includes(systemCode(error) ?? '')) throw error;
  }
}

function unreachable(target: Target, cause: unknown): SlipwayError {
  if (cause instanceof SlipwayError) return cause;
  return new SlipwayError(
    'unavailable',
    'server-unreachable',
    `The Slipway server at ${target.url} cannot be reached (${messageOf(cause)}). Start it with "slipway up", or name another with SLIPWAY_URL.`,
    { cause },
  );
}

/** The whole body as text, up to a limit. */
export async function readText(
  reply: AsyncIterable<Uint8Array>,
  maxBytes = 64 * 1024 * 1024,
): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of reply) {
    size += chunk.length;
    if (size > maxBytes) throw badReply('it is too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

/** @returns the error for a reply that this client does not understand */
export function badReply(why: string, cause?: unknown): SlipwayError {
  return new SlipwayError(
    'unavailable',
    'bad-reply',
    `The server's reply is not understood: ${why}. Is it a Slipway server of this version?`,
    { cause },
  );
}
