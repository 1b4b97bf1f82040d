/** The name of an image in a registry: `registry.example.com/team/tools:1.2`, `python@sha256:…`. */
import { type Digest, isDigest } from '../../base/digest.ts';
import { SlipwayError } from '../../base/errors.ts';
import { isLoopback } from '../../base/loopback.ts';

export interface RegistryReference {
  /** Host, and port if it has one. */
  readonly registry: string;
  readonly repository: string;
  /** `latest` unless something else is said; beside a digest, which decides, the beginning of that. */
  readonly tag: string;
  readonly digest?: Digest;
}

const component = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const host = /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[0-9a-f:]+\])(?::\d{1,5})?$/;

/**
 * Docker's rules: without a host it is Docker's registry, without a folder there its `library`.
 *
 * @throws SlipwayError `bad-image-name`
 */
export function parseRegistryReference(text: string): RegistryReference {
  const [name = '', digest, ...rest] = text.split('@');
  const match = /^(.+?)(?::(\w[\w.-]{0,127}))?$/.exec(name);
  const parts = (match?.[1] ?? '').split('/');
  const hasHost = parts.length > 1 && isHost(parts[0] ?? '');
  const registry = hasHost ? (parts.shift() ?? '') : 'docker.io';
  if (!hasHost && parts.length === 1) parts.unshift('library');
  const isGood =
    rest.length === 0 &&
    (digest === undefined || isDigest(digest)) &&
    parts.length > 0 &&
    parts.join('/').length <= 255 &&
    parts.every((part) => component.test(part));
  if (!isGood) throw badReference(text);
  const base = { registry, repository: parts.join('/') };
  if (!isDigest(digest)) return { ...base, tag: match?.[2] ?? 'latest' };
  return { ...base, tag: match?.[2] ?? digest.replace(':', '-').slice(0, 'sha256-'.length + 12), digest };
}

/** Whether the first part of a name, or of a prefix, is a host and no folder. */
export function isHost(part: string): boolean {
  return host.test(part) && (/[.:]/.test(part) || part === 'localhost');
}

/** Registry and repository, without tag or digest. */
export function repositoryName({ registry, repository }: RegistryReference): string {
  return `${registry}/${repository}`;
}

/** As people read it. */
export function formatReference(reference: RegistryReference): string {
  const { tag, digest } = reference;
  return `${repositoryName(reference)}${digest === undefined ? `:${tag}` : `@${digest}`}`;
}

/** Whether the registry can only be on this machine. */
export function isLocalRegistry({ registry }: RegistryReference): boolean {
  return isLoopback(registry.replace(/:\d+$/, ''));
}

function badReference(text: string): SlipwayError {
  return new SlipwayError(
    'invalid-input',
    'bad-image-name',
    `${JSON.stringify(text.slice(0, 200))} is not the name of an image in a registry; write for example ` +
      '"registry.example.com/team/tools:1.2" or "python@sha256:…".',
  );
}
