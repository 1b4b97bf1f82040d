/**
 * GNU tar's older format of sparse files (type `S`), which the tar reader does not know: this stream passes a tar on
 * unchanged but for such entries, whose headers become those of an ordinary file with a pax header in front that says
 * the same in format 0.1 (sparse-file.ts). It follows headers and sizes only as far as it must.
 * Source: the manual of GNU tar, "Basic Tar Format": struct oldgnu_header, struct sparse_header.
 */
import { Transform } from 'node:stream';

const block = 512;
const zeros = Buffer.alloc(block);
const maxPaxBytes = 1024 * 1024;
const maxExtensions = 5000;

/** A pair of numbers: where, and how much. */
const pairBytes = 24;

export function translateSparseHeaders(): Transform {
  const translator = new Translator();
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      try {
        for (const piece of translator.push(chunk)) this.push(piece);
        done();
      } catch (error) {
        done(error instanceof Error ? error : new Error(String(error)));
      }
    },
    flush(done) {
      this.push(translator.rest);
      done();
    },
  });
}

class Translator {
  #pending: Buffer = Buffer.alloc(0);
  /** Bytes of content, padded, that pass unread. */
  #passing = 0;
  /** What a pax header in front says about the size of the next entry. */
  #paxSize: number | undefined;
  /** A sparse entry whose map goes on in further blocks. */
  #sparse: { header: Buffer; pairs: string[]; extensions: number; contentBytes: number } | undefined;

  get rest(): Buffer {
    return this.#pending;
  }

  *push(chunk: Buffer): Generator<Buffer, void, undefined> {
    this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    for (;;) {
      if (this.#passing > 0) {
        const piece = this.#take(Math.min(this.#passing, this.#pending.length));
        this.#passing -= piece.length;
        if (piece.length > 0) yield piece;
        if (this.#passing > 0) return;
      }
      const needed = this.#needed();
      if (this.#pending.length < needed) return;
      yield* this.#header(this.#take(needed));
    }
  }

  /** A header; a pax header together with its content. */
  #needed(): number {
    if (this.#sparse !== undefined || this.#pending.length < block || this.#pending[156] !== 0x78)
      return block;
    return block + padded(Math.min(sizeOf(this.#pending), maxPaxBytes));
  }

  *#header(bytes: Buffer): Generator<Buffer, void, undefined> {
    if (this.#sparse !== undefined) return yield* this.#extension(bytes);
    const type = bytes[156];
    if (type === 0x78) {
      const size = sizeOf(bytes);
      this.#paxSize = paxSizeOf(bytes.subarray(block, block + size));
      this.#passing = Math.max(0, padded(size) - (bytes.length - block));
      yield bytes;
      return;
    }
    // An empty block, or something that the tar reader will refuse.
    if (bytes.equals(zeros)) return yield bytes;
    this.#passing = padded(this.#paxSize ?? sizeOf(bytes));
    this.#paxSize = undefined;
    if (type !== 0x53) return yield bytes;
    const pairs = pairsIn(bytes.subarray(386, 386 + 4 * pairBytes));
    this.#sparse = { header: bytes, pairs, extensions: 0, contentBytes: 0 };
    if (bytes[482] === 0) return yield* this.#finish();
    // The content comes after the rest of the map.
    this.#sparse.contentBytes = this.#passing;
    this.#passing = 0;
  }

  *#extension(bytes: Buffer): Generator<Buffer, void, undefined> {
    if (this.#sparse === undefined) return;
    this.#sparse.extensions += 1;
    if (this.#sparse.extensions > maxExtensions) throw new Error('a sparse file has too many holes');
    this.#sparse.pairs.push(...pairsIn(bytes.subarray(0, 21 * pairBytes)));
    if (bytes[504] !== 0) return;
    this.#passing = this.#sparse.contentBytes;
    yield* this.#finish();
  }

  *#finish(): Generator<Buffer, void, undefined> {
    if (this.#sparse === undefined) return;
    const { header, pairs } = this.#sparse;
    this.#sparse = undefined;
    const realSize = numberAt(header, 483, 12);
    const records = record('GNU.sparse.map', pairs.join(',')) + record('GNU.sparse.size', String(realSize));
    yield* paxHeader(header, Buffer.from(records));
    yield ordinary(header, '0', sizeOf(header));
  }

  #take(count: number): Buffer {
    const piece = this.#pending.subarray(0, count);
    this.#pending = this.#pending.subarray(count);
    return piece;
  }
}

function padded(size: number): number {
  return Math.ceil(size / block) * block;
}

function sizeOf(header: Buffer): number {
  return numberAt(header, 124, 12);
}

/** Octal digits, or GNU's binary form for large numbers. */
function numberAt(header: Buffer, at: number, length: number): number {
  const field = header.subarray(at, at + length);
  if (((field[0] ?? 0) & 0x80) !== 0) return Number(field.readBigUInt64BE(length - 8));
  const text = field.toString('latin1').replace(/[\0 ].*$/s, '');
  return /^[0-7]+$/.test(text.trim()) ? Number.parseInt(text, 8) : 0;
}

function pairsIn(bytes: Buffer): string[] {
  const pairs: string[] = [];
  for (let at = 0; at + pairBytes <= bytes.length && bytes[at] !== 0; at += pairBytes) {
    pairs.push(`${numberAt(bytes, at, 12)},${numberAt(bytes, at + 12, 12)}`);
  }
  return pairs;
}

/** The last record `size` of a pax header. */
function paxSizeOf(content: Buffer): number | undefined {
  const found = [...content.toString('latin1').matchAll(/(?:^|\n)\d+ size=(\d{1,16})(?=\n)/g)].at(-1)?.[1];
  return found === undefined ? undefined : Number(found);
}

/** `LENGTH key=value\n`, where the length counts itself. */
function record(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return `${length}${rest}`;
}

function* paxHeader(header: Buffer, content: Buffer): Generator<Buffer, void, undefined> {
  yield ordinary(header, 'x', content.length);
  yield Buffer.concat([content, zeros.subarray(0, padded(content.length) - content.length)]);
}

/** The same header with another type and size, and without what only sparse files have. */
function ordinary(header: Buffer, type: '0' | 'x', size: number): Buffer {
  const copy = Buffer.from(header);
  copy.write(type, 156, 'latin1');
  copy.write(`${size.toString(8).padStart(11, '0')}\0`, 124, 'latin1');
  copy.fill(0, 345);
  copy.fill(0x20, 148, 156);
  const sum = copy.reduce((total, byte) => total + byte, 0);
  copy.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return copy;
}
