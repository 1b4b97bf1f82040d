/**
 * Egress: which hosts a run may reach, as names and rules; pure. A run names targets, the operator's rules
 * (SLIPWAY_EGRESS) cover them or not, and the starter's proxy (starter/egress/) holds every connection to both.
 * Hosts are compared in one canonical spelling, so whatever is not exactly a name or an address is refused here.
 */
import { isIP, isIPv4, isIPv6 } from 'node:net';
import { messageOf, SlipwayError } from '../base/errors.ts';

/** What a run may ask for: a host in its canonical spelling (a name, `*.name`, or an address) and a port. */
export interface EgressTarget {
  readonly host: string;
  readonly port: number;
}

/** What the operator allows. */
export interface EgressRule extends EgressTarget {
  /** Addresses that the host may have although they are not public. */
  readonly networks: readonly Network[];
}

/** A range of addresses; one address has a prefix of 32 or 128 bits. */
export interface Network {
  readonly address: string;
  readonly prefix: number;
  readonly family: 'ipv4' | 'ipv6';
}

export const maxEgressTargets = 32;

/**
 * The canonical spelling of a host: lower-case name without the final dot, dotted IPv4, compressed IPv6 without
 * brackets. Numbers that only some programs read as addresses (`0x7f.1`, `2130706433`, `127.1`) are refused.
 *
 * @throws SlipwayError `bad-egress`
 */
export function parseHost(text: string): string {
  const bare = text.toLowerCase().replace(/\.$/, '');
  if (isIPv4(bare)) return bare;
  const six = /^\[(.*)\]$/.exec(bare)?.[1] ?? bare;
  if (isIPv6(six) && !six.includes('%')) return new URL(`http://[${six}]/`).hostname.slice(1, -1);
  if (isName(bare)) return bare;
  throw bad(`${quoted(text)} is neither the name of a host nor an IP address in its usual spelling`);
}

/** As `parseHost`, and `*.example.org` for every name below. */
export function parseHostPattern(text: string): string {
  if (!text.startsWith('*.')) return parseHost(text);
  const parent = parseHost(text.slice(2));
  if (isIP(parent) === 0) return `*.${parent}`;
  throw bad(`${quoted(text)} puts a star before an address`);
}

const label = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;

/** A name whose last part is a number, in any base, would be read as an address by some programs. */
function isName(text: string): boolean {
  const labels = text.split('.');
  const endsInNumber = /^(?:\d+|0x[0-9a-f]*)$/.test(labels.at(-1) ?? '');
  return text.length <= 253 && !endsInNumber && labels.every((part) => label.test(part));
}

/**
 * `example.org:443`, `*.example.org:443`, `192.0.2.1:80`, `[2001:db8::1]:443`.
 *
 * @throws SlipwayError `bad-egress`
 */
export function parseTarget(text: string): EgressTarget {
  const match = /^(\[[^\]]*\]|[^:[\]]*):([1-9]\d{0,4})$/.exec(text);
  const port = Number(match?.[2]);
  if (match?.[1] === undefined || port > 65_535)
    throw bad(`${quoted(text)} is not HOST:PORT, with brackets around an IPv6 address`);
  return { host: parseHostPattern(match[1]), port };
}

/** The text of a target, as `parseTarget` reads it. */
export function formatTarget({ host, port }: EgressTarget): string {
  return `${isIPv6(host) ? `[${host}]` : host}:${port}`;
}

/**
 * A target, and after `=` the addresses or networks that it may have beyond public ones, with `+` between them:
 * `tables.internal:443=10.1.2.0/24+fd00:1::/64`. A host that is an address names that address.
 *
 * @throws SlipwayError `bad-egress`
 */
export function parseRule(text: string): EgressRule {
  const at = text.indexOf('=');
  const target = parseTarget(at < 0 ? text : text.slice(0, at));
  const named = at < 0 ? [] : text.slice(at + 1).split('+');
  const own = isIP(target.host) === 0 ? [] : [target.host];
  return { ...target, networks: [...own, ...named].map(parseNetwork) };
}

function parseNetwork(text: string): Network {
  const [host = '', length, ...rest] = text.split('/');
  const address = isIP(host) === 0 ? undefined : parseHost(host);
  const bits = address !== undefined && isIPv6(address) ? 128 : 32;
  const prefix = length === undefined ? bits : /^\d{1,3}$/.test(length) ? Number(length) : Number.NaN;
  if (address === undefined || rest.length > 0 || !(prefix <= bits))
    throw bad(`${quoted(text)} is neither an IP address nor a network such as 10.1.2.0/24`);
  return { address, prefix, family: bits === 128 ? 'ipv6' : 'ipv4' };
}

/** Whether a target or rule speaks of this host and port; a host with a star is covered by a wider star. */
export function covers(pattern: EgressTarget, { host, port }: EgressTarget): boolean {
  if (pattern.port !== port) return false;
  return pattern.host === host || (pattern.host.startsWith('*.') && host.endsWith(pattern.host.slice(1)));
}

/**
 * Refuses targets that no rule of the operator covers.
 *
 * @throws SlipwayError `egress-not-allowed`, naming the target and the setting
 */
export function assertEgressAllowed(targets: readonly EgressTarget[], rules: readonly EgressRule[]): void {
  for (const target of targets) {
    if (rules.some((rule) => covers(rule, target))) continue;
    const text = formatTarget(target);
    const allowed = rules.length === 0 ? 'nothing' : rules.map(formatTarget).join(', ');
    throw new SlipwayError(
      'forbidden',
      'egress-not-allowed',
      `The run asks for egress to ${text}, but this site allows ${allowed}. Ask for less, or ask the operator to add ${text} to SLIPWAY_EGRESS.`,
      { details: { host: target.host, port: target.port } },
    );
  }
}

/** Whether the text is a host pattern in its canonical spelling. */
export function isCanonicalHost(text: string): boolean {
  try {
    return parseHostPattern(text) === text;
  } catch {
    return false;
  }
}

/** What is wrong with a host pattern, or undefined. */
export function faultOfHost(text: string): string | undefined {
  try {
    parseHostPattern(text);
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

function quoted(text: string): string {
  return JSON.stringify(text.slice(0, 100));
}

function bad(fault: string): SlipwayError {
  return new SlipwayError('invalid-input', 'bad-egress', `${fault}; write for example example.org:443.`);
}
