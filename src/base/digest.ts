/** Content addresses: `sha256:` and 64 lower-case hexadecimal digits. */
import { createHash } from 'node:crypto';
import { SlipwayError } from './errors.ts';

export type Digest = `sha256:${string}`;

export function isDigest(value: unknown): value is Digest {
  return typeof value === 'string' && /^sha256:[0-9a-f]{64}$/.test(value);
}

export function parseDigest(value: unknown): Digest {
  if (isDigest(value)) return value;
  throw new SlipwayError(
    'invalid-input',
    'bad-digest',
    'A digest is "sha256:" followed by 64 lower-case hexadecimal digits.',
    { details: { value: String(value).slice(0, 100) } },
  );
}

/** The digest of bytes in memory. */
export function digestOf(content: Uint8Array | string): Digest {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`;
}
