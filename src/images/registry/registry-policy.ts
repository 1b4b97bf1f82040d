/** Which registries images may come from, and what they must be signed with: the operator's word. */
import { SlipwayError } from '../../base/errors.ts';
import { formatReference, type RegistryReference, repositoryName } from './registry-reference.ts';

export interface RegistryPolicy {
  /**
   * Prefixes of names, by whole parts: `registry.example.com`, `docker.io/library`. None: nothing is pulled
   * (SLIPWAY_REGISTRIES).
   */
  readonly registries: readonly string[];
  /** The directory of public keys (SLIPWAY_IMAGE_KEYS); see signature-keys.ts. */
  readonly keysDir?: string | undefined;
}

/** What holds where nobody said anything: nothing is pulled. */
export const closedPolicy: RegistryPolicy = { registries: [] };

/** @throws SlipwayError `registry-not-allowed` */
export function assertAllowed(reference: RegistryReference, { registries }: RegistryPolicy): void {
  const name = repositoryName(reference);
  if (registries.some((prefix) => name === prefix || name.startsWith(`${prefix}/`))) return;
  const allowed = registries.length === 0 ? 'nothing is' : `allowed are: ${registries.join(', ')}`;
  throw new SlipwayError(
    'forbidden',
    'registry-not-allowed',
    `${formatReference(reference)} may not be pulled: SLIPWAY_REGISTRIES does not allow it (${allowed}). If you ` +
      `trust it, set SLIPWAY_REGISTRIES to ${JSON.stringify([...registries, reference.registry].join(','))}.`,
    { details: { registry: reference.registry, allowed: registries } },
  );
}
