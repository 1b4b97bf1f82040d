/** For which machine an image is: OCI's platform, and which image of an index fits one. */
import { arch } from 'node:os';
import { SlipwayError } from '../../base/errors.ts';
import type { Descriptor } from './oci-documents.ts';

/** Always Linux. In Go's words. */
export interface Platform {
  readonly architecture: string;
  readonly variant?: string | undefined;
}

/** This machine's. */
export function hostPlatform(): Platform {
  const name = arch();
  return { architecture: name === 'x64' ? 'amd64' : name };
}

/**
 * `linux/arm64`, `linux/arm/v7` or `arm64`.
 *
 * @throws SlipwayError `bad-platform`
 */
export function parsePlatform(text: string): Platform {
  const [, architecture, variant] = /^(?:linux\/)?([a-z0-9]{2,20})(?:\/(v\d{1,2}))?$/.exec(text) ?? [];
  if (architecture === undefined || architecture === 'linux') {
    throw new SlipwayError(
      'invalid-input',
      'bad-platform',
      `${JSON.stringify(text.slice(0, 100))} is not a platform; write for example "linux/amd64" or "linux/arm64".`,
    );
  }
  return variant === undefined ? { architecture } : { architecture, variant };
}

export function formatPlatform({ architecture, variant }: Platform): string {
  return ['linux', architecture, ...(variant === undefined ? [] : [variant])].join('/');
}

/** The images of an index for a platform, the plainest variant first. */
export function imagesFor(manifests: readonly Descriptor[], wanted: Platform): Descriptor[] {
  const mine = manifests.filter(({ platform }) => platform?.os === 'linux' && fits(platform, wanted));
  return mine.sort((a, b) => compare(a.platform?.variant ?? '', b.platform?.variant ?? ''));
}

/** Whether an image with this platform is what was asked for. */
export function fits(platform: Platform, { architecture, variant }: Platform): boolean {
  if (platform.architecture !== architecture) return false;
  return variant === undefined || platform.variant === variant;
}

function compare(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1;
}

/** What an index has, for those who look for something else. Attestations are no images. */
export function platformsIn(manifests: readonly Descriptor[]): string {
  const known = manifests.flatMap(({ platform }) =>
    platform && platform.os !== 'unknown' ? [platform] : [],
  );
  const names = known.map(({ os, architecture, variant }) =>
    [os, architecture, ...(variant === undefined ? [] : [variant])].join('/'),
  );
  return names.join(', ') || 'none';
}

export function platformMissing(wanted: Platform, has: string): SlipwayError {
  return new SlipwayError(
    'not-found',
    'image-platform-missing',
    `There is no image for ${formatPlatform(wanted)}; there is: ${has}. Choose by --platform.`,
    { details: { wanted: formatPlatform(wanted) } },
  );
}
