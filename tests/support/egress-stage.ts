/** An egress proxy with a scripted resolver, clients that write raw bytes, and servers on loopback to reach. */
import { once } from 'node:events';
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { parseRule, parseTarget } from '../../src/model/egress.ts';
import type { EgressDecision } from '../../src/model/usage.ts';
import {
  createEgressProxy,
  defaultEgressLimits,
  type EgressLimits,
  type EgressProxy,
} from '../../src/starter/egress/proxy.ts';
import { until } from './until.ts';

export interface EgressStage extends Disposable {
  readonly proxy: EgressProxy;
  readonly decisions: readonly EgressDecision[];
  /** The names that were looked up, in that order. */
  readonly lookedUp: readonly string[];
  /** How many clients the proxy's port has taken and not lost. */
  openClients(): number;
  /** A client that has sent this. */
  client(text: string): RawClient;
  /** Everything that comes back until the connection is closed. */
  ask(text: string): Promise<string>;
}

export interface EgressScript {
  /** The operator's; the run names the same, without the networks. */
  readonly rules: readonly string[];
  /** What the run names, if it is less. */
  readonly targets?: readonly string[];
  /** The answers for each name, one after the other; the last is repeated. */
  readonly answers?: Readonly<Record<string, readonly (readonly string[] | 'never')[]>>;
  readonly limits?: Partial<EgressLimits>;
}

export async function createEgressStage(script: EgressScript): Promise<EgressStage> {
  const decisions: EgressDecision[] = [];
  const lookedUp: string[] = [];
  const rules = script.rules.map(parseRule);
  const proxy = createEgressProxy({
    rules,
    targets: script.targets?.map(parseTarget) ?? rules.map(({ host, port }) => ({ host, port })),
    resolve: async (name, signal) => {
      const answers = script.answers?.[name] ?? [];
      const answer = answers[Math.min(lookedUp.filter((one) => one === name).length, answers.length - 1)];
      lookedUp.push(name);
      if (answer === undefined) throw new Error('ENOTFOUND');
      return answer === 'never' ? await aborted(signal) : answer;
    },
    limits: { ...defaultEgressLimits, maxBytes: 1e9, ...script.limits },
    onDecision: (decision) => decisions.push(decision),
  });
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    proxy.accept(socket);
  });
  const port = await listen(server);
  const client = (text: string) => new RawClient(port, text);
  return {
    proxy,
    decisions,
    lookedUp,
    openClients: () => open.size,
    client,
    ask: (text) => client(text).closed,
    [Symbol.dispose]() {
      proxy[Symbol.dispose]();
      server.close();
    },
  };
}

/** A connection to the proxy that shows every byte. */
export class RawClient {
  readonly socket: Socket;
  /** All that came, once the connection is closed. */
  readonly closed: Promise<string>;
  received = '';

  constructor(port: number, text: string) {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    socket.setEncoding('latin1').on('data', (piece) => {
      this.received += piece;
    });
    socket.on('error', () => undefined).once('end', () => socket.end());
    socket.write(text, 'latin1');
    this.socket = socket;
    this.closed = new Promise((resolve) => socket.once('close', () => resolve(this.received)));
  }

  async receives(text: string): Promise<void> {
    await until(`the client receives ${text}`, () => this.received.includes(text), {
      deadlineMs: 20_000,
      onFailure: () => this.received,
    });
  }
}

export interface Origin extends Disposable {
  readonly port: number;
  /** What arrived: the requests' heads, or the bytes of a plain server. */
  readonly seen: readonly string[];
}

type Handler = (request: IncomingMessage, response: ServerResponse, body: string) => void;

/** An HTTP server on a loopback address that notes what it is asked for. */
export async function startOrigin(host = '127.0.0.1', handler: Handler = answerOk): Promise<Origin> {
  const seen: string[] = [];
  const server = createHttpServer(async (request, response) => {
    const body = await readBody(request);
    if (body === undefined) return;
    const pairs = Object.entries(request.headers).map(([name, value]) => `${name}: ${value}`);
    seen.push([`${request.method} ${request.url}`, ...pairs.sort(), '', body].join('\n'));
    handler(request, response, body);
  });
  return { port: await listen(server, host), seen, [Symbol.dispose]: () => void closeAll(server) };
}

/** Undefined if the client goes away before its end. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  let body = '';
  try {
    for await (const piece of request) body += piece;
    return body;
  } catch {
    return undefined;
  }
}

function answerOk(_request: IncomingMessage, response: ServerResponse): void {
  response.end('ok');
}

function closeAll(server: ReturnType<typeof createHttpServer>): void {
  server.close();
  server.closeAllConnections();
}

/** A TCP server on a loopback address that sends back what it gets. */
export async function startEcho(host = '127.0.0.1'): Promise<Origin> {
  const seen: string[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined).on('data', (piece) => seen.push(String(piece)));
    socket.pipe(socket);
  });
  return { port: await listen(server, host), seen, [Symbol.dispose]: () => void server.close() };
}

async function listen(server: Server, host = '127.0.0.1'): Promise<number> {
  server.listen(0, host);
  await once(server, 'listening');
  return (server.address() as AddressInfo).port; // a TCP server's
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}
