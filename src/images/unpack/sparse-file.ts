/**
 * Files with holes, as GNU tar keeps them with `-S`: the tar holds the pieces that are data and a map of where they
 * belong. The pax formats 0.1 and 1.0 are read here; the older one of the type `S` is translated to 0.1 before
 * (sparse-headers.ts). Format 0.0 repeats the names of its records, which readers of pax headers do not keep apart.
 * Source: the manual of GNU tar, "Storing Sparse Files".
 */
import { PathProblem } from './rooted-path.ts';

/** Bytes and where they belong in the file. */
export interface Piece {
  readonly at: number;
  readonly bytes: Uint8Array;
}

export interface SparseFile {
  /** The entry's own name, where the header has a made-up one. */
  readonly name: string | undefined;
  readonly sizeBytes: number;
  /** Absent: it stands in front of the content (format 1.0). */
  readonly map: readonly Extent[] | undefined;
}

interface Extent {
  readonly at: number;
  readonly length: number;
}

const maxExtents = 100_000;
const maxMapBytes = 4 * 1024 * 1024;
const blockBytes = 512;

/** @returns undefined for an entry without holes. @throws PathProblem on what makes no sense */
export function parseSparse(pax: ReadonlyMap<string, string>): SparseFile | undefined {
  const keys = [...pax.keys()].filter((key) => key.startsWith('GNU.sparse.'));
  if (keys.length === 0) return undefined;
  const name = pax.get('GNU.sparse.name');
  const sizeBytes = numberOf(pax.get('GNU.sparse.realsize') ?? pax.get('GNU.sparse.size') ?? '');
  const major = pax.get('GNU.sparse.major');
  const map = pax.get('GNU.sparse.map');
  if (major === '1' && pax.get('GNU.sparse.minor') === '0') return { name, sizeBytes, map: undefined };
  if (major === undefined && map !== undefined) {
    return { name, sizeBytes, map: extentsOf(map === '' ? [] : map.split(',').map(numberOf), sizeBytes) };
  }
  throw new PathProblem('its format of sparse files is not known');
}

/** The content of an entry as pieces of the file; without holes one follows the other. */
export async function* piecesOf(
  content: AsyncIterable<Uint8Array>,
  sparse: SparseFile | undefined,
): AsyncGenerator<Piece, void, undefined> {
  if (sparse === undefined) {
    let at = 0;
    for await (const bytes of content) {
      yield { at, bytes };
      at += bytes.length;
    }
    return;
  }
  const reader = content[Symbol.asyncIterator]();
  let rest: Uint8Array = Buffer.alloc(0);
  let map = sparse.map;
  if (map === undefined) ({ map, rest } = await readMap(reader, sparse.sizeBytes));
  for (const { at, length } of map) {
    for (let done = 0; done < length; ) {
      if (rest.length === 0) rest = await nextOf(reader);
      const bytes = rest.subarray(0, length - done);
      yield { at: at + done, bytes };
      done += bytes.length;
      rest = rest.subarray(bytes.length);
    }
  }
}

/** Format 1.0: decimal numbers, one on each line, the count of extents first, filled up to a block. */
async function readMap(
  reader: AsyncIterator<Uint8Array>,
  sizeBytes: number,
): Promise<{ map: readonly Extent[]; rest: Uint8Array }> {
  let bytes = Buffer.alloc(0);
  for (;;) {
    const lines = bytes.toString('latin1').split('\n');
    const count = lines.length > 1 ? numberOf(lines[0] ?? '') : undefined;
    if (count !== undefined && count > maxExtents) throw new PathProblem('it has too many holes');
    if (count !== undefined && lines.length > 2 * count + 1) {
      const numbers = lines.slice(1, 2 * count + 1);
      const length = [lines[0] ?? '', ...numbers].reduce((sum, line) => sum + line.length + 1, 0);
      const padded = Math.ceil(length / blockBytes) * blockBytes;
      while (bytes.length < padded) bytes = Buffer.concat([bytes, await nextOf(reader)]);
      return { map: extentsOf(numbers.map(numberOf), sizeBytes), rest: bytes.subarray(padded) };
    }
    if (bytes.length > maxMapBytes) throw new PathProblem('its map of holes is too long');
    bytes = Buffer.concat([bytes, await nextOf(reader)]);
  }
}

async function nextOf(reader: AsyncIterator<Uint8Array>): Promise<Uint8Array> {
  const { value, done } = await reader.next();
  if (done || value === undefined) throw new PathProblem('it is a sparse file without all of its data');
  return value;
}

/** Pairs of where and how much, in order, inside the file, not over each other. */
function extentsOf(numbers: readonly number[], sizeBytes: number): Extent[] {
  const extents: Extent[] = [];
  let end = 0;
  for (let i = 0; i < numbers.length; i += 2) {
    const [at = 0, length] = numbers.slice(i, i + 2);
    if (length === undefined || at < end || at + length > sizeBytes || extents.length >= maxExtents) {
      throw new PathProblem('its map of holes makes no sense');
    }
    extents.push({ at, length });
    end = at + length;
  }
  return extents;
}

function numberOf(text: string): number {
  const number = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(number)) return number;
  throw new PathProblem('its map of holes makes no sense');
}
