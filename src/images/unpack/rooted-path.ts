/**
 * Paths inside an unpacked image, resolved as a chroot would: a symbolic link never leads out of the root.
 * Nothing else writes to the tree while we do (it lies in a directory of ours, mode 0700), so a check
 * followed by a use is safe here; it would not be on a tree that a sandbox can write.
 */
import { lstatSync, mkdirSync, readFileSync, readlinkSync, type Stats } from 'node:fs';
import { join, posix } from 'node:path';
import { systemCode } from '../../base/errors.ts';

const maxLinks = 40;

/** Why a path cannot be used; the caller knows which entry or file it belongs to. */
export class PathProblem extends Error {}

/**
 * The parts of an entry's name: `./a/b/` is `['a', 'b']`, the root itself is `[]`.
 *
 * @throws PathProblem on absolute names, names that leave the root, and NUL.
 */
export function splitEntryName(name: string): string[] {
  if (name.includes('\0')) throw new PathProblem('its name contains a NUL character');
  if (name.startsWith('/')) throw new PathProblem('its name is absolute');
  const normal = posix.normalize(name);
  if (normal === '..' || normal.startsWith('../')) throw new PathProblem('its name leaves the root');
  return normal.split('/').filter((part) => part !== '' && part !== '.');
}

/** `lstat` that answers undefined for what is not there. */
export function lstatOf(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    if (systemCode(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}

/**
 * Resolves every part, following symbolic links inside the root; missing parts are kept as they are.
 *
 * @returns the parts of the real location below the root.
 */
export function resolveParts(root: string, parts: readonly string[]): string[] {
  const todo = [...parts];
  let real: string[] = [];
  for (let links = 0; ; ) {
    const part = todo.shift();
    if (part === undefined) return real;
    if (part === '' || part === '.') continue;
    if (part === '..') {
      real.pop();
      continue;
    }
    const path = join(root, ...real, part);
    if (!lstatOf(path)?.isSymbolicLink()) {
      real.push(part);
      continue;
    }
    links += 1;
    if (links > maxLinks) throw new PathProblem('its path has too many symbolic links');
    const target = readlinkSync(path);
    if (target.startsWith('/')) real = [];
    todo.unshift(...target.split('/'));
  }
}

/**
 * The real directory of an entry's parents, made where it is missing.
 *
 * @throws PathProblem when a parent is something else than a directory.
 */
export function ensureParents(root: string, parents: readonly string[]): string[] {
  const real = resolveParts(root, parents);
  for (let i = 1; i <= real.length; i += 1) {
    const path = join(root, ...real.slice(0, i));
    const stats = lstatOf(path);
    if (stats === undefined) mkdirSync(path, 0o755);
    else if (!stats.isDirectory()) throw new PathProblem('one of its parents is not a directory');
  }
  return real;
}

/** The content of a regular file of at most `maxBytes` inside the root; undefined when there is none. */
export function readInRoot(root: string, path: string, maxBytes: number): Buffer | undefined {
  try {
    const real = join(root, ...resolveParts(root, path.split('/')));
    const stats = lstatOf(real);
    if (!stats?.isFile() || stats.size > maxBytes) return undefined;
    return readFileSync(real);
  } catch (error) {
    if (error instanceof PathProblem || isMissing(error)) return undefined;
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR', 'ENAMETOOLONG'].includes(systemCode(error) ?? '');
}
