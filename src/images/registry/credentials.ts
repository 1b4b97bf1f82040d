/**
 * Credentials for a registry, from a file: what `docker login`, `podman login` and `skopeo login` write, or one
 * line `user:password`. Never from an argument or the environment, where other processes see them. Only the
 * entry of the one registry is handed on, in a file of ours.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { messageOf, SlipwayError, systemCode } from '../../base/errors.ts';
import type { RegistryReference } from './registry-reference.ts';

const maxBytes = 1024 * 1024;

const entry = z.object({ auth: z.string().optional(), identitytoken: z.string().optional() });

const authFile = z.object({
  auths: z.record(z.string(), entry).nullish(),
  credHelpers: z.record(z.string(), z.string()).nullish(),
  credsStore: z.string().nullish(),
});

type Entry = z.infer<typeof entry>;
type AuthFile = z.infer<typeof authFile>;

export interface CredentialSource {
  /** What a person named; without it `.docker/config.json` of `home`, if it is there. */
  readonly file?: string | undefined;
  readonly home?: string | undefined;
}

/**
 * The content of an auth file with the one entry that is for this registry.
 *
 * @returns undefined for anonymous access
 * @throws SlipwayError `credentials-unreadable`, `credentials-missing` (a named file has none for it)
 */
export async function readCredentials(
  reference: RegistryReference,
  { file, home }: CredentialSource,
): Promise<string | undefined> {
  const path = file ?? (home === undefined ? undefined : join(home, '.docker', 'config.json'));
  if (path === undefined) return undefined;
  const text = await readText(path, file !== undefined);
  if (text === undefined) return undefined;
  const found = text.trimStart().startsWith('{')
    ? entryFor(reference, parseAuthFile(path, text), path)
    : fromLine(path, text);
  if (found !== undefined) return JSON.stringify({ auths: { [authKey(reference)]: found } });
  if (file === undefined) return undefined;
  throw new SlipwayError(
    'invalid-input',
    'credentials-missing',
    `${JSON.stringify(path)} has no credentials for ${reference.registry}. Log in to it with "skopeo login ` +
      `--authfile ${path} ${reference.registry}", or write one line "user:password".`,
  );
}

async function readText(path: string, isNamed: boolean): Promise<string | undefined> {
  try {
    const content = await readFile(path);
    if (content.length <= maxBytes) return content.toString('utf8');
  } catch (error) {
    if (!isNamed && systemCode(error) === 'ENOENT') return undefined;
    throw unreadable(path, messageOf(error), error);
  }
  throw unreadable(path, 'it is too large');
}

function parseAuthFile(path: string, text: string): AuthFile {
  try {
    return authFile.parse(JSON.parse(text));
  } catch {
    // The reason is left out: it could quote what is in the file.
    throw unreadable(path, 'it is not what "docker login" writes');
  }
}

function fromLine(path: string, text: string): Entry {
  const line = text.replace(/\r?\n$/, '');
  if (!/^[^:\n]+:[^\n]+$/.test(line))
    throw unreadable(path, 'it is neither JSON nor one line "user:password"');
  return { auth: Buffer.from(line).toString('base64') };
}

function entryFor(reference: RegistryReference, file: AuthFile, path: string): Entry | undefined {
  const hosts = hostsOf(reference);
  const helper = hosts.map((host) => file.credHelpers?.[host]).find((name) => name !== undefined);
  for (const [key, found] of Object.entries(file.auths ?? {})) {
    const host = key.replace(/^https?:\/\//, '').replace(/\/.*$/, '');
    if (hosts.includes(host) && (found.auth || found.identitytoken)) return found;
  }
  if (helper === undefined) return undefined;
  throw unreadable(path, `it leaves ${reference.registry} to the program docker-credential-${helper}`);
}

function hostsOf({ registry }: RegistryReference): string[] {
  return registry === 'docker.io' ? ['docker.io', 'index.docker.io', 'registry-1.docker.io'] : [registry];
}

function authKey({ registry }: RegistryReference): string {
  return registry === 'docker.io' ? 'https://index.docker.io/v1/' : registry;
}

function unreadable(path: string, why: string, cause?: unknown): SlipwayError {
  return new SlipwayError(
    'invalid-input',
    'credentials-unreadable',
    `The credentials in ${JSON.stringify(path)} cannot be used: ${why}. Give a file by --creds-file.`,
    cause === undefined ? {} : { cause },
  );
}
