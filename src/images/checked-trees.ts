/** The unpacked trees of a store, each looked over (tree-list.ts) before this process first uses it. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../base/digest.ts';
import { systemCode } from '../base/errors.ts';
import { corruptedTree } from './blob-staging.ts';
import type { StoreFiles } from './store-files.ts';
import { findTreeDamage, type Thoroughness, writeTreeList } from './tree-list.ts';

const listName = 'tree.list';

export class CheckedTrees {
  readonly #files: StoreFiles;
  /** The trees that were found whole, by their inodes: one that was replaced is another one. */
  readonly #whole = new Map<Digest, number>();

  constructor(files: StoreFiles) {
    this.#files = files;
  }

  /** The path of a tree that was whole when it was first asked for. @throws SlipwayError `image-corrupted` */
  async pathOf(digest: Digest): Promise<string> {
    const path = this.#files.tree(digest);
    const inode = await inodeOf(path);
    if (inode !== undefined && this.#whole.get(digest) === inode) return path;
    await this.verify(digest, 'quick');
    if (inode !== undefined) this.#whole.set(digest, inode);
    return path;
  }

  /** @throws SlipwayError `image-corrupted`, which names the first file that is not as it was */
  async verify(digest: Digest, thoroughness: Thoroughness): Promise<void> {
    const list = join(this.#files.unpacked(digest), listName);
    const damage = await findTreeDamage(this.#files.tree(digest), list, thoroughness);
    if (damage !== undefined) throw corruptedTree(digest, damage);
  }

  /** @param unpacked the directory with the tree, not yet in its place */
  async list(unpacked: string): Promise<void> {
    await writeTreeList(join(unpacked, 'rootfs'), join(unpacked, listName));
  }
}

async function inodeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).ino;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
