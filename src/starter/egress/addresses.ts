/**
 * Which addresses the egress proxy may connect to: public ones, and what the operator names. IPv4 is a list of what
 * is not public (IANA's special-purpose registry, multicast, reserved); IPv6 the other way round: global unicast,
 * without what is special in it. So IPv4 addresses in an IPv6 dress (mapped, NAT64, 6to4, Teredo) never pass.
 */
import { BlockList, isIPv4, isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { Network } from '../../model/egress.ts';

const specialV4 = toBlockList(
  'ipv4',
  '0.0.0.0/8', // "this network"; 0.0.0.0 is the host itself
  '10.0.0.0/8',
  '100.64.0.0/10', // carriers' NAT; some clouds' metadata (100.100.100.200)
  '127.0.0.0/8',
  '168.63.129.16/32', // Azure's metadata and agent service, on a public address
  '169.254.0.0/16', // link-local; most clouds' metadata (169.254.169.254)
  '172.16.0.0/12',
  '192.0.0.0/24', // protocol assignments; Oracle's metadata (192.0.0.192)
  '192.0.2.0/24', // documentation
  '192.88.99.0/24', // 6to4 relays
  '192.168.0.0/16',
  '198.18.0.0/15', // benchmarks
  '198.51.100.0/24', // documentation
  '203.0.113.0/24', // documentation
  '224.0.0.0/4', // multicast
  '240.0.0.0/4', // reserved, broadcast
);

const globalV6 = toBlockList('ipv6', '2000::/3');

const specialV6 = toBlockList(
  'ipv6',
  '2001::/23', // protocol assignments: Teredo, benchmarks, ORCHID
  '2001:db8::/32', // documentation
  '2002::/16', // 6to4
  '3fff::/20', // documentation
);

/** Whether an address is one of the open internet. What is no address is not. */
export function isPublic(address: string): boolean {
  if (isIPv4(address)) return !specialV4.check(address, 'ipv4');
  if (!isIPv6(address) || address.includes('%')) return false;
  return globalV6.check(address, 'ipv6') && !specialV6.check(address, 'ipv6');
}

/** Whether a connection may go there: named by the operator, or public and not this host's own. */
export function mayConnect(address: string, named: readonly Network[]): boolean {
  return isNamed(address, named) || (isPublic(address) && !isOwn(address));
}

function isNamed(address: string, named: readonly Network[]): boolean {
  if (address.includes('%')) return false;
  const family = isIPv6(address) ? 'ipv6' : 'ipv4';
  return named
    .filter((network) => network.family === family) // else `::ffff:10.0.0.1` would count as 10.0.0.1
    .some((network) => toList(network).check(address, family));
}

/** Services of this host may trust whoever reaches them by its own address. */
function isOwn(address: string): boolean {
  return Object.values(networkInterfaces()).some((ones) => ones?.some((one) => one.address === address));
}

function toList({ address, prefix, family }: Network): BlockList {
  const list = new BlockList();
  list.addSubnet(address, prefix, family);
  return list;
}

function toBlockList(family: 'ipv4' | 'ipv6', ...networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address = '', prefix] = network.split('/');
    list.addSubnet(address, Number(prefix), family);
  }
  return list;
}
