/** The one source of every sandbox's /dev: five devices, the usual links, and an empty place for /dev/shm. */
import { chmod, mkdir, symlink } from 'node:fs/promises';
import path from 'node:path';
import type { HostMounts } from './host-mounts.ts';

/** Major and minor numbers: Linux, Documentation/admin-guide/devices.txt. */
const devices: readonly (readonly [name: string, major: number, minor: number])[] = [
  ['null', 1, 3],
  ['zero', 1, 5],
  ['full', 1, 7],
  ['random', 1, 8],
  ['urandom', 1, 9],
];

const links: readonly (readonly [name: string, target: string])[] = [
  ['fd', '/proc/self/fd'],
  ['stdin', '/proc/self/fd/0'],
  ['stdout', '/proc/self/fd/1'],
  ['stderr', '/proc/self/fd/2'],
];

/** Mounts the source at `directory`, which is made. */
export async function mountDevices(mounts: HostMounts, directory: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o755 });
  await mounts.deviceTmpfs(directory);
  for (const [name, major, minor] of devices) await mounts.device(path.join(directory, name), major, minor);
  for (const [name, target] of links) await symlink(target, path.join(directory, name));
  // runc gives a tmpfs the mode of the directory below it.
  await mkdir(path.join(directory, 'shm'));
  await chmod(path.join(directory, 'shm'), 0o1777);
}
