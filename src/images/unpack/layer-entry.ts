/** One entry of a layer, parsed from tar-stream's header into the few kinds that an image may hold. */
import type { Header } from 'tar-stream';
import { PathProblem } from './rooted-path.ts';
import { type Piece, parseSparse, piecesOf } from './sparse-file.ts';

const maxId = 0xffff_fffe;

export interface Ownership {
  readonly uid: number;
  readonly gid: number;
  /** Permission bits with setuid, setgid and sticky. */
  readonly mode: number;
  /** Seconds since 1970. */
  readonly mtime: number;
}

interface EntryFacts {
  /** As the tar has it: unchecked. */
  readonly name: string;
  readonly owner: Ownership;
  readonly hasXattrs: boolean;
}

export type LayerEntry = EntryFacts &
  (
    | {
        readonly kind: 'file';
        readonly content: AsyncIterable<Piece>;
        /** Of a file with holes, which its pieces alone do not tell. */
        readonly sparseBytes: number | undefined;
      }
    | { readonly kind: 'directory' }
    | { readonly kind: 'symlink' | 'hard-link'; readonly target: string }
    /** The character device 0/0: how overlay file systems write a whiteout. */
    | { readonly kind: 'null-device' }
  );

/** @throws PathProblem for kinds that an image must not hold, and for owners that are no ids. */
export function parseEntry(header: Header, content: AsyncIterable<unknown>): LayerEntry {
  const pax = parsePax(header.pax);
  const sparse = parseSparse(pax);
  const facts = {
    name: sparse?.name ?? header.name,
    owner: ownershipOf(header, pax),
    hasXattrs: [...pax.keys()].some((key) => key.startsWith('SCHILY.xattr.')),
  };
  switch (header.type) {
    case 'directory':
      return { ...facts, kind: 'directory' };
    case 'file':
    case 'contiguous-file':
      return {
        ...facts,
        kind: 'file',
        content: piecesOf(bytesOf(content), sparse),
        sparseBytes: sparse?.sizeBytes,
      };
    case 'symlink':
      return { ...facts, kind: 'symlink', target: header.linkname ?? '' };
    case 'link':
      return { ...facts, kind: 'hard-link', target: header.linkname ?? '' };
    case 'character-device':
      if (header.devmajor === 0 && header.devminor === 0) return { ...facts, kind: 'null-device' };
      throw new PathProblem('it is a device node');
    case 'block-device':
      throw new PathProblem('it is a device node');
    case 'fifo':
      throw new PathProblem('it is a FIFO');
    default:
      throw new PathProblem(`its type (${String(header.type)}) is not known`);
  }
}

/** Extended headers: tar-stream applies `path`, `linkpath` and `size` itself and hands us the rest. */
function parsePax(pax: unknown): Map<string, string> {
  if (typeof pax !== 'object' || pax === null) return new Map();
  return new Map(Object.entries(pax).map(([key, value]) => [key, String(value)]));
}

function ownershipOf(header: Header, pax: ReadonlyMap<string, string>): Ownership {
  return {
    uid: idOf(pax.get('uid') ?? header.uid),
    gid: idOf(pax.get('gid') ?? header.gid),
    mode: (header.mode ?? 0) & 0o7777,
    mtime: secondsOf(pax.get('mtime') ?? Number(header.mtime) / 1000),
  };
}

function idOf(value: string | number): number {
  const id = Number(value);
  if (Number.isInteger(id) && id >= 0 && id <= maxId) return id;
  throw new PathProblem('its owner is not a user or group id');
}

/** Times are decoration: one that makes no sense becomes 1970. */
function secondsOf(value: string | number): number {
  const seconds = Number(value);
  return seconds >= 0 && seconds < 2 ** 33 ? seconds : 0;
}

async function* bytesOf(content: AsyncIterable<unknown>): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of content) if (chunk instanceof Uint8Array) yield chunk;
}
