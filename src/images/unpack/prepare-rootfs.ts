/**
 * Readies an unpacked tree for sandboxes: the mount points are real directories, the working directory
 * exists and is no door into /proc. An image that has a symbolic link where a runtime will mount is refused.
 * Sources: CVE-2026-41579 (/dev as a link), CVE-2024-21626 (WORKDIR below /proc).
 */
import { chmodSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { SlipwayError } from '../../base/errors.ts';
import { lstatOf, PathProblem, resolveParts } from './rooted-path.ts';

/** Where every sandbox mounts something. */
export const mountPoints: readonly string[] = [
  '/proc',
  '/sys',
  '/dev',
  '/tmp',
  '/run',
  '/data',
  '/work',
  '/code',
  '/home/slipway',
];

const kernelDirectories = ['proc', 'sys', 'dev'];

/** Makes the mount points and the home. @throws SlipwayError `image-refused` */
export function ensureMountPoints(root: string, home: string): void {
  for (const mountPoint of [...mountPoints, home]) ensureDirectory(root, mountPoint);
  chmodSync(join(root, 'tmp'), 0o1777);
}

function ensureDirectory(root: string, mountPoint: string): void {
  const parts = mountPoint.split('/').slice(1);
  for (let i = 1; i <= parts.length; i += 1) {
    const path = join(root, ...parts.slice(0, i));
    const stats = lstatOf(path);
    if (stats === undefined) mkdirSync(path, 0o755);
    else if (!stats.isDirectory())
      throw refusedMountPoint(`/${parts.slice(0, i).join('/')}`, stats.isSymbolicLink());
  }
}

function refusedMountPoint(path: string, isLink: boolean): SlipwayError {
  return new SlipwayError(
    'invalid-input',
    'image-refused',
    `The image is refused because its ${path} is ${isLink ? 'a symbolic link' : 'not a directory'}; ` +
      `a sandbox mounts there. Make it a directory and build the image again.`,
    { details: { entry: path } },
  );
}

/**
 * The working directory, made where it is missing.
 *
 * @returns the path as the image has it, or `/` for none
 * @throws SlipwayError `image-refused` when it is relative or leads into /proc, /sys or /dev
 */
export function ensureWorkdir(root: string, workdir: string): string {
  if (workdir === '' || workdir === '/') return '/';
  if (!workdir.startsWith('/') || /[\0\n]/.test(workdir))
    throw refusedWorkdir(workdir, 'is not an absolute path');
  const parts = resolved(root, workdir);
  if (kernelDirectories.includes(parts[0] ?? '')) throw refusedWorkdir(workdir, `leads into /${parts[0]}`);
  for (let i = 1; i <= parts.length; i += 1) {
    const path = join(root, ...parts.slice(0, i));
    const stats = lstatOf(path);
    if (stats === undefined) mkdirSync(path, 0o755);
    else if (!stats.isDirectory()) throw refusedWorkdir(workdir, 'is not a directory');
  }
  return workdir;
}

function resolved(root: string, workdir: string): string[] {
  try {
    return resolveParts(root, workdir.split('/'));
  } catch (error) {
    if (error instanceof PathProblem) throw refusedWorkdir(workdir, 'has too many symbolic links');
    throw error;
  }
}

function refusedWorkdir(workdir: string, why: string): SlipwayError {
  return new SlipwayError(
    'invalid-input',
    'image-refused',
    `The image is refused because its WORKDIR ${JSON.stringify(workdir.slice(0, 200))} ${why}. Build it with another.`,
    { details: { entry: workdir.slice(0, 1000) } },
  );
}

/** Sum of the sizes of the regular files below a directory, hard links counted once, in bytes. */
export function sizeOfTree(directory: string, seen = new Set<number>()): number {
  let bytes = 0;
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) bytes += sizeOfTree(path, seen);
    else if (entry.isFile()) bytes += sizeOnce(path, seen);
  }
  return bytes;
}

function sizeOnce(path: string, seen: Set<number>): number {
  const { ino, nlink, size } = statSync(path);
  if (nlink > 1 && seen.has(ino)) return 0;
  if (nlink > 1) seen.add(ino);
  return size;
}
