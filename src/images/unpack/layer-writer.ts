/**
 * Applies the entries of one layer to the tree of an image: the file-system half of the layer applier
 * (apply-layer.ts reads the tar). Every parent is resolved inside the root, nothing existing is written
 * through, and whatever could matter to the host (device nodes, FIFOs, links that leave) is a problem.
 *
 * The calls are synchronous: each is a few microseconds, entries arrive through an asynchronous stream in
 * between, and half as many trips through the thread pool make an import about twice as fast.
 */
import * as fs from 'node:fs';
import { join } from 'node:path';
import type { LayerEntry, Ownership } from './layer-entry.ts';
import { isLossy, NameForms } from './name-collisions.ts';
import { ensureParents, lstatOf, PathProblem, resolveParts, splitEntryName } from './rooted-path.ts';
import type { Piece } from './sparse-file.ts';

type FileEntry = Extract<LayerEntry, { kind: 'file' }>;

const whiteout = '.wh.';
const opaqueWhiteout = '.wh..wh..opq';
interface Place {
  readonly parents: readonly string[];
  readonly name: string;
  readonly path: string;
}

export class LayerWriter {
  readonly #root: string;
  readonly #keepsOwners = process.geteuid?.() === 0;
  /** Real paths that this layer made, and the directories above them: its whiteouts do not hide them. */
  readonly #own = new Set<string>();
  readonly #directories = new Map<string, Ownership>();
  readonly #forms = new NameForms();
  /** What a person should know of this layer, counted. */
  readonly remarks = { ignoredXattrs: 0, lookAlikes: 0, lossyNames: 0 };

  constructor(root: string) {
    this.#root = root;
  }

  /** Applies one entry. Its content is read only if it is a regular file. */
  async apply(entry: LayerEntry): Promise<void> {
    const parts = splitEntryName(entry.name);
    const name = parts.at(-1);
    if (name === undefined) return this.#applyRoot(entry);
    const parents = ensureParents(this.#root, parts.slice(0, -1));
    const place = { parents, name, path: join(this.#root, ...parents, name) };
    if (name.startsWith(whiteout)) return this.#applyWhiteout(place);
    if (entry.kind === 'null-device') return this.#removeLower(place.path);
    this.#remark(entry, place);
    await this.#make(entry, place.path);
    this.#claim(place);
  }

  /** Names that are not UTF-8 arrive altered: one that meets another of its own layer has replaced a different file. */
  #remark({ hasXattrs }: LayerEntry, { name, parents, path }: Place): void {
    if (hasXattrs) this.remarks.ignoredXattrs += 1;
    if (isLossy(name) && this.#own.has(path)) {
      throw new PathProblem('its name is not UTF-8 and cannot be told from that of another entry');
    }
    if (isLossy(name)) this.remarks.lossyNames += 1;
    if (this.#forms.meets(join(this.#root, ...parents), name)) this.remarks.lookAlikes += 1;
  }

  /** Sets what later entries would have disturbed: owners, modes and times of directories, inner ones first. */
  finish(): void {
    for (const [path, owner] of [...this.#directories].reverse()) {
      if (!lstatOf(path)?.isDirectory()) continue;
      if (this.#keepsOwners) fs.lchownSync(path, owner.uid, owner.gid);
      fs.chmodSync(path, owner.mode);
      fs.utimesSync(path, owner.mtime, owner.mtime);
    }
  }

  #applyRoot(entry: LayerEntry): void {
    if (entry.kind !== 'directory') throw new PathProblem('it would replace the root');
    this.#directories.set(this.#root, entry.owner);
  }

  #applyWhiteout({ name, parents }: Place): void {
    const directory = join(this.#root, ...parents);
    if (name === opaqueWhiteout) {
      for (const child of fs.readdirSync(directory)) this.#removeLower(join(directory, child));
      return;
    }
    // Other `.wh..wh.` names are bookkeeping of aufs, which no reader needs.
    if (name.startsWith(whiteout + whiteout)) return;
    const target = name.slice(whiteout.length);
    if (target === '' || target === '.' || target === '..') {
      throw new PathProblem(`it is a whiteout of "${target}"`);
    }
    this.#removeLower(join(directory, target));
  }

  /** Removes what lower layers left at a path; what this layer made stays, in whichever order they come. */
  #removeLower(path: string): void {
    if (!this.#own.has(path)) {
      removeIfThere(path);
      return;
    }
    if (!lstatOf(path)?.isDirectory()) return;
    for (const child of fs.readdirSync(path)) this.#removeLower(join(path, child));
  }

  async #make(entry: LayerEntry, path: string): Promise<void> {
    switch (entry.kind) {
      case 'directory':
        return this.#makeDirectory(path, entry.owner);
      case 'file':
        return this.#makeFile(path, entry);
      case 'symlink':
        return this.#makeSymlink(path, entry.owner, entry.target);
      case 'hard-link':
        return this.#makeHardLink(path, entry.target);
      case 'null-device':
        throw new PathProblem('it is a device node');
      default:
        return entry satisfies never;
    }
  }

  #makeDirectory(path: string, owner: Ownership): void {
    const stats = lstatOf(path);
    if (stats && !stats.isDirectory()) fs.unlinkSync(path);
    if (!stats?.isDirectory()) fs.mkdirSync(path, 0o755);
    this.#directories.delete(path);
    this.#directories.set(path, owner);
  }

  async #makeFile(path: string, { owner, content, sparseBytes }: FileEntry): Promise<void> {
    removeIfThere(path);
    const fd = fs.openSync(path, 'wx', 0o600);
    try {
      for await (const piece of content) writeAll(fd, piece);
      if (sparseBytes !== undefined) fs.ftruncateSync(fd, sparseBytes);
      if (this.#keepsOwners) fs.fchownSync(fd, owner.uid, owner.gid);
      fs.fchmodSync(fd, owner.mode);
      fs.futimesSync(fd, owner.mtime, owner.mtime);
    } finally {
      fs.closeSync(fd);
    }
  }

  #makeSymlink(path: string, owner: Ownership, target: string): void {
    if (target === '') throw new PathProblem('it is a symbolic link without a target');
    removeIfThere(path);
    fs.symlinkSync(target, path);
    if (this.#keepsOwners) fs.lchownSync(path, owner.uid, owner.gid);
    fs.lutimesSync(path, owner.mtime, owner.mtime);
  }

  #makeHardLink(path: string, target: string): void {
    const source = this.#hardLinkSource(target);
    if (source === path) return;
    removeIfThere(path);
    fs.linkSync(source, path);
  }

  #hardLinkSource(target: string): string {
    const parts = linkTargetParts(target);
    const real = resolveParts(this.#root, parts.slice(0, -1));
    const source = join(this.#root, ...real, ...parts.slice(-1));
    const stats = lstatOf(source);
    if (parts.length > 0 && (stats?.isFile() || stats?.isSymbolicLink())) return source;
    throw new PathProblem('it is a hard link to something that is not a file of the image');
  }

  #claim({ parents, path }: Place): void {
    for (let i = 1; i <= parents.length; i += 1) this.#own.add(join(this.#root, ...parents.slice(0, i)));
    this.#own.add(path);
  }
}

function linkTargetParts(target: string): string[] {
  try {
    return splitEntryName(target);
  } catch (error) {
    if (error instanceof PathProblem) throw new PathProblem('it is a hard link that leaves the root');
    throw error;
  }
}

function removeIfThere(path: string): void {
  const stats = lstatOf(path);
  if (stats?.isDirectory()) fs.rmSync(path, { recursive: true });
  else if (stats) fs.unlinkSync(path);
}

function writeAll(fd: number, { at, bytes }: Piece): void {
  for (let done = 0; done < bytes.length; )
    done += fs.writeSync(fd, bytes, done, bytes.length - done, at + done);
}
