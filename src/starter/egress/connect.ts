/** From a host and a port to a connection, or to the reason why there is none. */
import { connect, isIP, type Socket } from 'node:net';
import { covers, type EgressRule, type EgressTarget } from '../../model/egress.ts';
import type { EgressReason } from '../../model/usage.ts';
import { mayConnect } from './addresses.ts';
import type { Resolve } from './resolve.ts';

export interface Permission {
  /** What the run named. */
  readonly targets: readonly EgressTarget[];
  /** What the operator allows. */
  readonly rules: readonly EgressRule[];
  readonly resolve: Resolve;
}

export type Connected =
  | { readonly kind: 'allowed'; readonly socket: Socket; readonly address: string }
  | { readonly kind: 'refused' | 'failed'; readonly reason: EgressReason };

type Addresses = readonly string[] | Extract<Connected, { reason: EgressReason }>;

/** Between two addresses of a host that does not answer, in ms. */
const nextAddressMs = 2000;

/**
 * Connects to a host that run and operator both name, if every address that it resolves to is allowed. The
 * connection goes to one of the checked addresses: the name is not resolved again.
 */
export async function connectTo(
  destination: EgressTarget,
  permission: Permission,
  signal: AbortSignal,
): Promise<Connected> {
  const addresses = await findAddresses(destination, permission, signal);
  if ('kind' in addresses) return addresses;
  try {
    const socket = await open(destination.port, addresses, signal);
    return { kind: 'allowed', socket, address: socket.remoteAddress ?? '' };
  } catch {
    return { kind: 'failed', reason: 'not-reached' };
  }
}

async function findAddresses(
  destination: EgressTarget,
  { targets, rules, resolve }: Permission,
  signal: AbortSignal,
): Promise<Addresses> {
  const covering = rules.filter((rule) => covers(rule, destination));
  const isNamed = targets.some((target) => covers(target, destination));
  if (!isNamed || covering.length === 0) return { kind: 'refused', reason: 'not-named' };
  const { host } = destination;
  const addresses = isIP(host) === 0 ? await resolve(host, signal).catch(() => []) : [host];
  if (addresses.length === 0) return { kind: 'failed', reason: 'not-resolved' };
  const networks = covering.flatMap((rule) => rule.networks);
  const areAllowed = addresses.every((address) => mayConnect(address, networks));
  return areAllowed ? addresses : { kind: 'refused', reason: 'address-not-allowed' };
}

/** Tries the addresses one after the other, in their order. */
async function open(port: number, addresses: readonly string[], signal: AbortSignal): Promise<Socket> {
  const checked = addresses.map((address) => ({ address, family: isIP(address) }));
  const socket = connect({
    host: 'checked.invalid', // never looked up: `lookup` answers with what was checked
    lookup: (_host, _options, answer) => answer(null, checked),
    port,
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: nextAddressMs,
    allowHalfOpen: true,
    noDelay: true,
  });
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const abort = () => socket.destroy(new Error('no answer in time'));
  signal.addEventListener('abort', abort, { once: true });
  if (signal.aborted) abort();
  socket.once('connect', () => resolve(socket));
  socket.once('close', () => reject(new Error('closed')));
  socket.on('error', reject); // stays, because an error later is told by `close` too
  try {
    return await promise;
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
