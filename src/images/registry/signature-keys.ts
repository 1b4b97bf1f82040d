/**
 * The public keys that images must be signed with, from a directory that mirrors their names: a key in
 * `KEYS/registry.example.com/team/` is for `registry.example.com/team` and everything below; one in `KEYS/` itself
 * is for everything. The nearest directory with keys decides, and any of its keys will do. A file there that is
 * no key is an error: a mistake must not let unsigned images in.
 */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, SlipwayError, systemCode } from '../../base/errors.ts';
import { type RegistryReference, repositoryName } from './registry-reference.ts';

export interface SignatureKey {
  readonly path: string;
  readonly key: KeyObject;
}

/**
 * @returns none where nothing needs a signature
 * @throws SlipwayError `image-keys-unreadable`
 */
export async function readSignatureKeys(
  reference: RegistryReference,
  keysDir: string | undefined,
): Promise<readonly SignatureKey[]> {
  if (keysDir === undefined) return [];
  const parts = repositoryName(reference).split('/');
  for (let depth = parts.length; depth >= 0; depth -= 1) {
    const keys = await keysIn(join(keysDir, ...parts.slice(0, depth)), depth === 0);
    if (keys.length > 0) return keys;
  }
  return [];
}

async function keysIn(directory: string, isRoot: boolean): Promise<SignatureKey[]> {
  try {
    const entries = await readdir(directory, { withFileTypes: true });
    const files = entries.filter((entry) => !entry.isDirectory()).map(({ name }) => join(directory, name));
    return await Promise.all(files.sort().map(readKey));
  } catch (error) {
    if (error instanceof SlipwayError) throw error;
    if (!isRoot && (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR')) return [];
    throw unreadable(directory, messageOf(error), error);
  }
}

async function readKey(path: string): Promise<SignatureKey> {
  const key = await parseKey(path).catch((error: unknown) => {
    throw unreadable(path, messageOf(error), error);
  });
  if (key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1')
    return { path, key };
  throw unreadable(path, 'it is not an ECDSA key on the curve P-256, which cosign makes');
}

async function parseKey(path: string): Promise<KeyObject> {
  const pem = await readFile(path, 'utf8');
  // createPublicKey would derive one from a private key, which has no business here.
  if (!pem.includes('-----BEGIN PUBLIC KEY-----')) throw new Error('it is not a public key in PEM');
  return createPublicKey(pem);
}

function unreadable(path: string, why: string, cause?: unknown): SlipwayError {
  return new SlipwayError(
    'invalid-input',
    'image-keys-unreadable',
    `${JSON.stringify(path)} of SLIPWAY_IMAGE_KEYS cannot be used: ${why}. Correct it, or take it away.`,
    cause === undefined ? {} : { cause },
  );
}
