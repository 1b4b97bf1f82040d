/** What it means to a person, and to the retries, that skopeo failed. */
import { SlipwayError } from '../../base/errors.ts';
import { formatReference, type RegistryReference } from './registry-reference.ts';

/** @param output the last lines that skopeo wrote to stderr */
export function registryError(reference: RegistryReference, output: string): SlipwayError {
  const name = formatReference(reference);
  const reason = lastReason(output);
  if (/unauthorized|authentication required|denied|invalid username\/password/i.test(output)) {
    return new SlipwayError(
      'unauthenticated',
      'registry-unauthorized',
      `The registry refuses access to ${name} (${reason}). Give credentials by --creds-file, or check those that ` +
        'it has.',
    );
  }
  if (/manifest unknown|name unknown|repository not known|name invalid/i.test(output)) {
    return new SlipwayError(
      'not-found',
      'image-not-in-registry',
      `The registry has no image ${name}. Check name and tag.`,
    );
  }
  if (/does not match provided manifest digest|did not match, expected|Digest did not match/i.test(output)) {
    return wrongDigest(name, reason);
  }
  return new SlipwayError(
    'unavailable',
    'registry-unavailable',
    `The registry of ${name} cannot be reached or broke off (${reason}). Try again when it is back.`,
  );
}

export function wrongDigest(name: string, reason: string): SlipwayError {
  return new SlipwayError(
    'corrupted',
    'registry-wrong-digest',
    `The registry sent something else than ${name} (${reason}). Nothing of it was kept; do not trust that registry ` +
      'before you know why.',
  );
}

/** Whether trying again may help. */
export function isTransient(error: SlipwayError): boolean {
  return error.code === 'registry-unavailable';
}

/** `level=fatal msg="…"`: the text alone. */
function lastReason(output: string): string {
  const line = output.trim().split('\n').at(-1) ?? '';
  const message = /\bmsg="((?:[^"\\]|\\.)*)"/.exec(line)?.[1]?.replaceAll('\\"', '"') ?? line;
  return message.replace(/^Error parsing image name "[^"]*": /, '').slice(0, 400) || 'no reason given';
}
