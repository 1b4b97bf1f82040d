/**
 * The egress proxy of one run: an HTTP proxy (CONNECT, and requests in absolute form) that the sandbox reaches on
 * its loopback. It connects to nothing but the hosts that the run named and the operator allows, at addresses that
 * it checked (connect.ts, addresses.ts), and keeps count (ledger.ts). It does not look into TLS. Each connection
 * serves one request, so that nothing can be hidden behind another. How connections come out of a sandbox:
 * `SandboxSpec.outlet`. Redirects are not followed: the client's next request is checked like any.
 */
import { createServer, type IncomingMessage, request as makeRequest, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { EgressTarget } from '../../model/egress.ts';
import type { EgressDecision, EgressReason, EgressUsage } from '../../model/usage.ts';
import { type Connected, connectTo, type Permission } from './connect.ts';
import { Ledger } from './ledger.ts';
import { answerTunnel, explain, sendRefusal } from './refusals.ts';
import { endToEnd, type ForwardRequest, parseConnect, parseForward } from './requests.ts';

export interface EgressLimits {
  /** Sent and received over all connections, in bytes. */
  readonly maxBytes: number;
  /** Connections out of the sandbox at one moment; more are closed at once. */
  readonly maxConnections: number;
  /** From a connection to the end of its request's headers, in ms. */
  readonly headersMs: number;
  /** To resolve a name and to connect, in ms. */
  readonly connectMs: number;
  /** A connection on which nothing moves is closed, in ms. */
  readonly idleMs: number;
}

export const defaultEgressLimits: Omit<EgressLimits, 'maxBytes'> = {
  maxConnections: 64,
  headersMs: 10_000,
  connectMs: 15_000,
  idleMs: 120_000,
};

export interface EgressProxyOptions extends Permission {
  readonly limits: EgressLimits;
  /** Told of each decision that is the first of its kind. */
  readonly onDecision: (decision: EgressDecision) => void;
}

export interface EgressProxy extends Disposable {
  /** Serves a client; its connection belongs to the proxy from now on. */
  accept(client: Socket): void;
  usage(): EgressUsage;
}

export function createEgressProxy(options: EgressProxyOptions): EgressProxy {
  return new RunProxy(options);
}

const maxHeaderBytes = 16 * 1024;
/** Shown of what cannot be parsed. */
const maxShown = 200;

class RunProxy implements EgressProxy {
  readonly #options: EgressProxyOptions;
  readonly #ledger: Ledger;
  readonly #server = createServer({ maxHeaderSize: maxHeaderBytes, insecureHTTPParser: false });
  readonly #clients = new Set<Socket>();
  readonly #upstreams = new Set<Socket>();
  /** Clients that have not made their request yet, and when they must have. */
  readonly #deadlines = new WeakMap<Duplex, NodeJS.Timeout>();
  readonly #closing = new AbortController();

  constructor(options: EgressProxyOptions) {
    this.#options = options;
    this.#ledger = new Ledger({ maxBytes: options.limits.maxBytes, onDecision: options.onDecision });
    this.#server.on('request', (request, response) => void this.#serve(request, response));
    this.#server.on('connect', (request, client, head) => void this.#tunnel(request, client, head));
    this.#server.on('clientError', (_error, client) => {
      if (client.writable) answerTunnel(client, explain('bad-request'));
      else client.destroy();
    });
  }

  accept(client: Socket): void {
    const { maxConnections, headersMs, idleMs } = this.#options.limits;
    client.on('error', () => client.destroy());
    if (this.#closing.signal.aborted || this.#clients.size >= maxConnections) {
      client.destroy();
      return;
    }
    const deadline = setTimeout(() => client.destroy(), headersMs);
    this.#deadlines.set(client, deadline);
    this.#clients.add(client);
    client.once('close', () => {
      clearTimeout(deadline);
      this.#clients.delete(client);
    });
    client.setTimeout(idleMs, () => client.destroy());
    this.#server.emit('connection', client);
  }

  usage(): EgressUsage {
    return this.#ledger.usage();
  }

  [Symbol.dispose](): void {
    this.#closing.abort();
    this.#cutAll();
  }

  #cutAll(): void {
    for (const socket of [...this.#clients, ...this.#upstreams]) socket.destroy();
  }

  /** Whether it is the first request of its connection. */
  #begin(client: Duplex): boolean {
    const deadline = this.#deadlines.get(client);
    clearTimeout(deadline);
    this.#deadlines.delete(client);
    return deadline !== undefined;
  }

  async #tunnel(request: IncomingMessage, client: Duplex, head: Buffer): Promise<void> {
    client.on('error', () => client.destroy());
    if (!this.#begin(client)) {
      client.destroy();
      return;
    }
    const destination = parseConnect(request);
    const found = await this.#connect(destination, request.url);
    if (found.kind !== 'allowed') return answerTunnel(client, explain(found.reason));
    const { socket } = found;
    client.write('HTTP/1.1 200 Connection established\r\n\r\n');
    socket.write(head);
    const ways = [pipeline(client, socket), pipeline(socket, client)];
    this.#watch(client, socket);
    await Promise.allSettled(ways);
    client.destroy();
    socket.destroy();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (!this.#begin(request.socket)) return; // the first answer closes the connection
    response.shouldKeepAlive = false;
    response.sendDate = false;
    const asked = parseForward(request);
    const found = await this.#connect(asked?.destination, request.url);
    if (asked === undefined || found.kind !== 'allowed') {
      return sendRefusal(response, explain('reason' in found ? found.reason : 'bad-request'));
    }
    this.#watch(request.socket, found.socket);
    try {
      await forward(asked, { request, response, socket: found.socket });
    } catch {
      if (response.headersSent) response.destroy();
      else sendRefusal(response, explain('not-reached'));
    } finally {
      found.socket.destroy();
    }
  }

  /** Decides and notes it. @param shown what was asked for, where it cannot be parsed */
  async #connect(destination: EgressTarget | undefined, shown = ''): Promise<Connected> {
    if (destination === undefined) return this.#refuse({ host: toShown(shown), port: 0 }, 'bad-request');
    if (this.#ledger.isFull) return this.#refuse(destination, 'byte-limit');
    const { limits } = this.#options;
    const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(limits.connectMs)]);
    const found = await connectTo(destination, this.#options, signal);
    this.#ledger.note(destination, found);
    if (found.kind === 'allowed') this.#adopt(found.socket);
    return found;
  }

  #refuse(destination: EgressTarget, reason: EgressReason): Connected {
    this.#ledger.note(destination, { kind: 'refused', reason });
    return { kind: 'refused', reason };
  }

  #adopt(socket: Socket): void {
    this.#upstreams.add(socket);
    socket.once('close', () => this.#upstreams.delete(socket));
    socket.setTimeout(this.#options.limits.idleMs, () => socket.destroy());
    if (this.#closing.signal.aborted) socket.destroy();
  }

  /** Ends everything once the run's bytes are used up. */
  #watch(client: Duplex, socket: Socket): void {
    const check = () => {
      if (this.#ledger.isFull) this.#cutAll();
    };
    client.on('data', check);
    socket.on('data', check);
  }
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly socket: Socket;
}

/** Makes the request again on a connection of its own, and passes the answer back. */
async function forward(asked: ForwardRequest, { request, response, socket }: Exchange): Promise<void> {
  const { method, path } = asked;
  const outgoing = makeRequest({ createConnection: () => socket, method, path, setHost: false });
  for (const [name, values] of Object.entries(asked.headers)) outgoing.setHeader(name, values);
  const isChunked = request.headers['transfer-encoding'] !== undefined;
  if (isChunked) outgoing.setHeader('transfer-encoding', 'chunked');
  const { promise: answered, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  outgoing.once('response', resolve).on('error', reject);
  outgoing.once('close', () => reject(new Error('closed without an answer')));
  response.once('close', () => outgoing.destroy()); // also when the client goes away
  const hasBody = isChunked || request.headers['content-length'] !== undefined;
  // A server may answer before it has read everything; then the answer counts.
  if (hasBody) pipeline(request, outgoing).catch(reject);
  else outgoing.end();
  const answer = await answered;
  for (const [name, values] of Object.entries(endToEnd(answer))) response.setHeader(name, values);
  response.writeHead(answer.statusCode ?? 502);
  await pipeline(answer, response);
}

/** Hostile text for people: printable, and not long. */
function toShown(text: string): string {
  return text.slice(0, maxShown).replace(/[^\x21-\x7e]/g, '?');
}
