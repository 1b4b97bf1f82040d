/** What clients of the egress proxy ask for, parsed: hostile text until it is a host, a port and clean headers. */
import type { IncomingMessage } from 'node:http';
import { type EgressTarget, formatTarget, parseTarget } from '../../model/egress.ts';

/** A request in absolute form (RFC 9112, section 3.2.2), ready to be made again. */
export interface ForwardRequest {
  readonly destination: EgressTarget;
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, readonly string[]>>;
}

const httpPort = 80;

/** `CONNECT host:port`; undefined for anything else. */
export function parseConnect(request: IncomingMessage): EgressTarget | undefined {
  const destination = toDestination(request.url ?? '');
  const hosts = request.headersDistinct['host'] ?? [];
  if (destination === undefined || hosts.length > 1) return undefined;
  const isSame = hosts.every((host) => isHostOf(host, destination, destination.port));
  return isSame ? destination : undefined;
}

/** `GET http://host/path` with exactly that host in its Host header; undefined for anything else. */
export function parseForward(request: IncomingMessage): ForwardRequest | undefined {
  const match = /^http:\/\/([^/?#@\\]+)((?:\/[\x21\x22\x24-\x7e]*)?(?:\?[\x21\x22\x24-\x7e]*)?)$/i.exec(
    request.url ?? '',
  );
  const [, authority = '', path = ''] = match ?? [];
  const destination = toDestination(authority, httpPort);
  const hosts = request.headersDistinct['host'] ?? [];
  const [host] = hosts;
  if (destination === undefined || host === undefined || hosts.length > 1) return undefined;
  if (!isHostOf(host, destination, httpPort) || !isPlainlyFramed(request)) return undefined;
  const headers = { ...endToEnd(request), host: [toHostHeader(destination)] };
  const method = request.method ?? '';
  return { destination, method, path: path.startsWith('/') ? path : `/${path}`, headers };
}

/** Of `host:port`, or of `host` where there is a usual port. */
function toDestination(authority: string, usualPort?: number): EgressTarget | undefined {
  if (authority.startsWith('*')) return undefined;
  const hasPort = /:\d+$/.test(authority) && !/^\[[^\]]*$/.test(authority);
  try {
    return parseTarget(hasPort || usualPort === undefined ? authority : `${authority}:${usualPort}`);
  } catch {
    return undefined;
  }
}

function isHostOf(header: string, { host, port }: EgressTarget, usualPort: number): boolean {
  const named = toDestination(header, usualPort);
  return named?.host === host && named.port === port;
}

function toHostHeader(destination: EgressTarget): string {
  const text = formatTarget(destination);
  return destination.port === httpPort ? text.slice(0, text.lastIndexOf(':')) : text;
}

/**
 * Node's parser refuses a length beside a coding, and two lengths. What it lets pass and we do not: other codings
 * than `chunked`, and codings in HTTP/1.0.
 */
function isPlainlyFramed(request: IncomingMessage): boolean {
  const codings = request.headersDistinct['transfer-encoding'];
  if (codings === undefined) return true;
  return request.httpVersion === '1.1' && codings.length === 1 && codings[0]?.toLowerCase() === 'chunked';
}

/** For one hop only (RFC 9110, section 7.6.1), or the framing, which is made anew. */
const hopByHop = new Set([
  'connection',
  'expect',
  'host',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** The headers that are meant for the other end; those that `Connection` names are not. */
export function endToEnd(message: IncomingMessage): Record<string, readonly string[]> {
  const named = (message.headersDistinct['connection'] ?? []).flatMap((value) =>
    value.toLowerCase().split(','),
  );
  // The length says where the body ends; it is not for a client to take away.
  const dropped = new Set(named.map((name) => name.trim()).filter((name) => name !== 'content-length'));
  const kept = Object.entries(message.headersDistinct).flatMap(([name, values]) =>
    values === undefined || hopByHop.has(name) || dropped.has(name) ? [] : [[name, values] as const],
  );
  return Object.fromEntries(kept);
}
