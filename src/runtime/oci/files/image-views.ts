/**
 * The image as each sandbox sees it: a read-only idmapped mount of the unpacked tree per image and id range,
 * so that its files belong to the sandbox's own range without a copy. Ranges are claimed host-wide and kept
 * while this starter lives; a range is given to the next sandbox only when everything of the former is dead,
 * and the mounts made for it are used again. Where the kernel or the file system cannot do idmapped mounts,
 * one shifted copy per range stands in: right, but slow and large.
 */
import { execFile } from 'node:child_process';
import { lstat, mkdir, rm, rmdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Digest } from '../../../base/digest.ts';
import { isSlipwayError, SlipwayError } from '../../../base/errors.ts';
import type { Image } from '../../../model/image.ts';
import type { HostMounts, IdRange } from '../host/host-mounts.ts';
import { claimSlot, type IdSpace, rangeOf, releaseSlot } from '../host/id-claims.ts';
import type { Places } from '../places.ts';

/** An id range in use by at most one sandbox. */
export interface Slot {
  readonly index: number;
  readonly range: IdRange;
  readonly views: Map<Digest, View>;
}

interface View {
  readonly path: string;
  /** Device and inode of the tree it shows: an image that was removed and imported again is another one. */
  readonly tree: string;
  readonly copied: boolean;
}

export interface ImageViewsOptions {
  readonly places: Places;
  readonly mounts: HostMounts;
  readonly space: IdSpace;
  /** The unpacked tree of an image. */
  readonly rootfs: (image: Image) => Promise<string>;
}

/** Views that one range keeps; the oldest goes first. */
const maxViewsPerSlot = 4;
/** Where the driver mounts something; a symbolic link there could lead a runtime's mount astray. */
const mountPoints = ['dev', 'proc', 'tmp', 'work', 'data', 'code', 'home', 'home/slipway'];

export class ImageViews implements AsyncDisposable {
  readonly #options: ImageViewsOptions;
  readonly #free: Slot[] = [];
  readonly #all = new Set<Slot>();
  #idmapped: boolean | undefined;

  constructor(options: ImageViewsOptions) {
    this.#options = options;
  }

  /** Whether the last view was an idmapped mount and not a copy; undefined before the first. */
  get idmapped(): boolean | undefined {
    return this.#idmapped;
  }

  /** A range for one sandbox; the one released last comes first, because its mounts are warm. */
  async acquire(): Promise<Slot> {
    const kept = this.#free.pop();
    if (kept !== undefined) return kept;
    const { places, space } = this.#options;
    const index = await claimSlot(places, space);
    const slot: Slot = { index, range: rangeOf(index, space), views: new Map() };
    this.#all.add(slot);
    return slot;
  }

  /** Only when nothing of the sandbox lives any more. */
  release(slot: Slot): void {
    this.#free.push(slot);
  }

  /**
   * The image's tree as the range owns it.
   *
   * @throws SlipwayError `image-unfit` for a tree without our mount points
   */
  async view(slot: Slot, image: Image): Promise<string> {
    const source = await this.#options.rootfs(image);
    const { dev, ino } = await stat(source);
    const tree = `${dev}:${ino}`;
    const known = slot.views.get(image.digest);
    if (known?.tree === tree) return known.path;
    if (known !== undefined) await this.#drop(slot, image.digest, known);
    for (const [digest, view] of slot.views) {
      if (slot.views.size < maxViewsPerSlot) break;
      await this.#drop(slot, digest, view);
    }
    const view = await this.#make(slot, image, { source, tree });
    slot.views.set(image.digest, view);
    return view.path;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { places } = this.#options;
    for (const slot of this.#all) {
      for (const [digest, view] of slot.views) await this.#drop(slot, digest, view);
      await releaseSlot(slot.index, places);
    }
    this.#all.clear();
    await rm(places.copiesDir(places.starter), { recursive: true, force: true });
    await rm(places.viewsDir(places.starter), { recursive: true, force: true });
  }

  async #make(slot: Slot, image: Image, from: { source: string; tree: string }): Promise<View> {
    await assertFit(from.source, image);
    const { places, mounts } = this.#options;
    const name = `${slot.index}-${image.digest.slice('sha256:'.length).slice(0, 16)}`;
    const target = path.join(places.viewsDir(places.starter), name);
    await mkdir(target, { recursive: true, mode: 0o711 });
    try {
      await mounts.idmapped(from.source, target, slot.range);
      this.#idmapped = true;
      return { path: target, tree: from.tree, copied: false };
    } catch (error) {
      if (!isLackOfIdmaps(error)) throw error;
    }
    this.#idmapped = false;
    const copy = path.join(places.copiesDir(places.starter), name);
    await copyTree(from.source, copy);
    await mounts.shiftOwners(copy, slot.range);
    await mounts.bind(copy, target, ['ro', 'nosuid', 'nodev']);
    return { path: target, tree: from.tree, copied: true };
  }

  async #drop(slot: Slot, digest: Digest, view: View): Promise<void> {
    const { places, mounts } = this.#options;
    await mounts.unmount(view.path);
    await rmdir(view.path);
    if (view.copied) {
      const copy = path.join(places.copiesDir(places.starter), path.basename(view.path));
      await rm(copy, { recursive: true, force: true });
    }
    slot.views.delete(digest);
  }
}

/** Whether an idmapped mount failed because kernel or file system have none (EINVAL, EPERM, ENOSYS). */
export function isLackOfIdmaps(error: unknown): boolean {
  return isSlipwayError(error, 'mount-failed') && String(error.details['error']).startsWith('mount_setattr');
}

async function copyTree(source: string, target: string): Promise<void> {
  await mkdir(path.dirname(target), { recursive: true, mode: 0o711 });
  await promisify(execFile)('cp', ['-a', '--reflink=auto', '--', source, target]);
}

async function assertFit(tree: string, image: Image): Promise<void> {
  for (const name of mountPoints) {
    const found = await lstat(path.join(tree, name)).catch(() => undefined);
    if (found?.isDirectory()) continue;
    throw new SlipwayError(
      'unsupported',
      'image-unfit',
      `The image ${image.digest} has no directory /${name} of its own (${found === undefined ? 'it is absent' : 'it is a link or a file'}). Import it again, so that the store prepares it.`,
    );
  }
}
