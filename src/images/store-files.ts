/**
 * The directory of an image store and its rules: everything is made in `scratch/` beside its final place
 * and appears there by one rename, so that a killed import leaves nothing half-done in sight; what it leaves
 * in `scratch/` is swept by the next one. Several processes may work in one store at once.
 *
 *   blobs/sha256/<hex>            manifests, configs, layers as they came
 *   unpacked/<hex>/rootfs         the tree, unshifted; <hex> is the manifest's
 *   unpacked/<hex>/image.json     what a starter needs to know
 *   unpacked/<hex>/tree.list      every entry of the tree, to find damage
 *   names/<encoded name>          a digest; one file per name, so that no writer loses another's change
 *   scratch/<pid>.<start>.<random>/
 *   lock                          shared by imports, held alone by what removes
 */
import { randomUUID } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Digest } from '../base/digest.ts';
import { systemCode } from '../base/errors.ts';

export function hexOf(digest: Digest): string {
  return digest.slice('sha256:'.length);
}

export class StoreFiles {
  readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  blob(digest: Digest): string {
    return join(this.root, 'blobs', 'sha256', hexOf(digest));
  }

  unpacked(digest: Digest): string {
    return join(this.root, 'unpacked', hexOf(digest));
  }

  tree(digest: Digest): string {
    return join(this.unpacked(digest), 'rootfs');
  }

  get blobs(): string {
    return join(this.root, 'blobs', 'sha256');
  }

  get lock(): string {
    return join(this.root, 'lock');
  }

  get names(): string {
    return join(this.root, 'names');
  }

  /** Makes the store's directories, which only their owner can enter: images may hold setuid programs. */
  async prepare(): Promise<void> {
    await mkdir(this.root, { recursive: true, mode: 0o700 });
    for (const directory of [this.blobs, join(this.root, 'unpacked'), this.names, this.#scratches]) {
      await mkdir(directory, { recursive: true, mode: 0o700 });
    }
  }

  get #scratches(): string {
    return join(this.root, 'scratch');
  }

  /** A directory of ours to work in; it disappears with `await using`. */
  async scratch(): Promise<AsyncDisposable & { readonly path: string }> {
    const start = await startTimeOf(process.pid);
    const path = join(this.#scratches, `${process.pid}.${start ?? 0}.${randomUUID().slice(0, 8)}`);
    await mkdir(path, { recursive: true, mode: 0o700 });
    return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
  }

  /** Removes the scratch directories of processes that are gone. */
  async sweepScratch(): Promise<void> {
    for (const name of await namesIn(this.#scratches)) {
      const [pid = '', start = ''] = name.split('.');
      if ((await startTimeOf(Number(pid))) === start) continue;
      await rm(join(this.#scratches, name), { recursive: true, force: true });
    }
  }
}

/** The entries of a directory; none if it does not exist. */
export async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return [];
    throw error;
  }
}

/** Writes a file so that a reader, and a crash, sees the old or the new content and nothing between. */
export async function writeFileAtomically(path: string, content: string): Promise<void> {
  const fresh = `${path}.${randomUUID().slice(0, 8)}.new`;
  try {
    await using file = await open(fresh, 'wx', 0o600);
    await file.writeFile(content);
    await file.sync();
    await rename(fresh, path);
  } catch (error) {
    await rm(fresh, { force: true });
    throw error;
  }
  await syncDirectory(dirname(path));
}

/** Makes renames into and out of a directory durable. */
export async function syncDirectory(path: string): Promise<void> {
  await using directory = await open(path, 'r');
  await directory.sync();
}

/** When a process started, in clock ticks since boot; undefined when there is none. Source: proc(5), stat. */
async function startTimeOf(pid: number): Promise<string | undefined> {
  if (!Number.isInteger(pid)) return undefined;
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}
