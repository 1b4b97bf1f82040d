/**
 * Which images are mounted on this host, in whatever mount namespace: a sandbox's root is a mount of an image's
 * unpacked tree, and the kernel tells of each mount what part of which file system it shows.
 * Source: proc_pid_mountinfo(5), the field `root`.
 */
import { readFile, readlink } from 'node:fs/promises';
import { type Digest, isDigest } from '../base/digest.ts';
import { namesIn } from './store-files.ts';

/** What a tree's directory is called while it is being removed: the digest stays in its path. */
export function removedName(hex: string): string {
  return `removed.${hex}`;
}

/** Digests of the images of which anything is mounted. Mounts of processes that we may not look at are not seen. */
export async function mountedImages(proc = '/proc'): Promise<Set<Digest>> {
  const seen = new Set<string>();
  const found = new Set<Digest>();
  for (const pid of (await namesIn(proc)).filter((name) => /^\d+$/.test(name))) {
    const namespace = await readlink(`${proc}/${pid}/ns/mnt`).catch(() => undefined);
    if (namespace === undefined || seen.has(namespace)) continue;
    const table = await readFile(`${proc}/${pid}/mountinfo`, 'utf8').catch(() => undefined);
    if (table === undefined) continue;
    seen.add(namespace);
    for (const digest of digestsIn(table)) found.add(digest);
  }
  return found;
}

function digestsIn(mountinfo: string): Digest[] {
  return mountinfo.split('\n').flatMap((line) => {
    const shown = line.split(' ')[3] ?? '';
    const digest = `sha256:${/\/(?:unpacked\/|removed\.)([0-9a-f]{64})\/rootfs(?:\/|$)/.exec(shown)?.[1]}`;
    return isDigest(digest) ? [digest] : [];
  });
}
