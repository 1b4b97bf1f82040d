/** Branded identifiers: `run_01k…`, sortable by time, unguessable, safe in paths, URLs and cgroup names. */
import { randomBytes } from 'node:crypto';

const alphabet = '0123456789abcdefghjkmnpqrstvwxyz';

export type Id<Prefix extends string> = `${Prefix}_${string}`;

/**
 * A new identifier: 10 characters of time (ms), then 16 random ones (80 bits), in Crockford's base 32.
 * Source: the ULID layout, in lower case.
 */
export function createId<Prefix extends string>(prefix: Prefix, nowMs: number): Id<Prefix> {
  return `${prefix}_${encodeTime(nowMs)}${randomText(16)}`;
}

/** `length` random characters of Crockford's base 32 (5 bits each). */
export function randomText(length: number): string {
  return Array.from(randomBytes(length), (byte) => alphabet.charAt(byte & 31)).join('');
}

/** Whether a text has the shape of an identifier with this prefix. */
export function isId<Prefix extends string>(prefix: Prefix, value: unknown): value is Id<Prefix> {
  return (
    typeof value === 'string' &&
    value.startsWith(`${prefix}_`) &&
    /^[0-9a-hjkmnp-tv-z]{26}$/.test(value.slice(prefix.length + 1))
  );
}

function encodeTime(ms: number): string {
  let text = '';
  for (let rest = ms, i = 0; i < 10; i++, rest = Math.floor(rest / 32))
    text = alphabet.charAt(rest % 32) + text;
  return text;
}
