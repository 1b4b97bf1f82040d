/**
 * Ranges of user ids, claimed host-wide so that no two sandboxes of any starter or install share one. A claim
 * is a symbolic link (made atomically) `<boot>/<slot>` → `<install>/<starter>`; a directory of an earlier boot
 * counts for nothing, because nothing of that boot runs any more.
 */
import { readlinkSync, unlinkSync } from 'node:fs';
import { mkdir, readdir, readlink, rm, symlink } from 'node:fs/promises';
import path from 'node:path';
import { SlipwayError, systemCode } from '../../../base/errors.ts';
import type { IdRange } from './host-mounts.ts';
import { emptyIfAbsent, readBootId } from './starters.ts';

/** Host-wide: shared by all installs, whatever their runtime directories are. */
const allClaimsDir = '/run/slipway/ids';

export interface IdSpace {
  readonly base: number;
  /** How many slots there are. */
  readonly count: number;
  /** Ids in one slot. */
  readonly size: number;
}

export interface ClaimOwner {
  readonly install: string;
  readonly starter: string;
}

export interface Claim extends ClaimOwner {
  readonly slot: number;
}

export function rangeOf(slot: number, space: IdSpace): IdRange {
  return { base: space.base + slot * space.size, count: space.size };
}

/**
 * Claims a free slot.
 *
 * @throws SlipwayError `id-ranges-exhausted`
 */
export async function claimSlot(owner: ClaimOwner, space: IdSpace): Promise<number> {
  const first = Math.floor(Math.random() * space.count); // starters rarely meet
  for (let step = 0; step < space.count; step++) {
    const slot = (first + step) % space.count;
    if (await tryClaim(slot, owner)) return slot;
  }
  throw new SlipwayError(
    'unavailable',
    'id-ranges-exhausted',
    `All ${space.count} user id ranges of this host are claimed in ${claimsDir()}. End sandboxes, or remove the claims of installs that are gone.`,
  );
}

async function tryClaim(slot: number, owner: ClaimOwner): Promise<boolean> {
  try {
    await symlink(`${owner.install}/${owner.starter}`, path.join(claimsDir(), String(slot)));
    return true;
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false;
    throw error;
  }
}

export async function releaseSlot(slot: number, owner: ClaimOwner): Promise<void> {
  const link = path.join(claimsDir(), String(slot));
  try {
    // Somebody else may have released it, and yet another claimed it: only the owner's own link is removed.
    if (readlinkSync(link) === `${owner.install}/${owner.starter}`) unlinkSync(link);
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
  }
}

/** Makes the directory of this boot and removes those of earlier ones. */
export async function prepareClaims(): Promise<void> {
  await mkdir(claimsDir(), { recursive: true, mode: 0o711 });
  for (const boot of await readdir(allClaimsDir)) {
    if (boot !== readBootId()) await rm(path.join(allClaimsDir, boot), { recursive: true, force: true });
  }
}

/** All claims of an install, whichever of its starters made them. */
export async function claimsOf(install: string): Promise<Claim[]> {
  const found: Claim[] = [];
  for (const name of await readdir(claimsDir()).catch(emptyIfAbsent)) {
    const target = await readlink(path.join(claimsDir(), name)).catch(() => '');
    const [claimant, starter] = target.split('/');
    if (claimant === install && starter !== undefined) found.push({ slot: Number(name), install, starter });
  }
  return found;
}

function claimsDir(): string {
  return path.join(allClaimsDir, readBootId());
}
