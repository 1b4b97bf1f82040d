/** How the egress proxy says no: a status and a reason that a client's error message shows. */
import type { ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { EgressReason } from '../../model/usage.ts';

export interface Refusal {
  readonly status: number;
  /** One line: clients print it as the status's phrase. */
  readonly text: string;
}

const refusals: Readonly<Record<EgressReason, Refusal>> = {
  'bad-request': { status: 400, text: 'Not a request that the egress proxy understands' },
  'not-named': { status: 403, text: 'This run may not reach this host and port' },
  'address-not-allowed': { status: 403, text: 'This host has an address that is not allowed' },
  'byte-limit': { status: 403, text: 'This run has used up its egress bytes' },
  'not-resolved': { status: 502, text: 'The name of this host cannot be resolved' },
  'not-reached': { status: 502, text: 'This host does not answer as it should' },
};

export function explain(reason: EgressReason): Refusal {
  return refusals[reason];
}

/** The answer to a CONNECT, or to what is no HTTP, and the end of the connection. */
export function answerTunnel(client: Duplex, { status, text }: Refusal): void {
  const head = `HTTP/1.1 ${status} ${text}\r\nContent-Type: text/plain\r\nContent-Length: ${text.length + 1}\r\nConnection: close\r\n\r\n`;
  client.end(`${head}${text}\n`, () => client.destroy());
}

export function sendRefusal(response: ServerResponse, { status, text }: Refusal): void {
  if (response.destroyed) return;
  response.writeHead(status, text, { 'content-type': 'text/plain', connection: 'close' });
  response.end(`${text}\n`);
}
