/** A layer's blob as a stream of tar bytes: uncompressed, counted against the limits, hashed on the way. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { type Duplex, PassThrough, Transform, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { type Digest, parseDigest } from '../../base/digest.ts';
import { translateSparseHeaders } from './sparse-headers.ts';
import type { UnpackBudget } from './unpack-limits.ts';

export type Compression = 'none' | 'gzip' | 'zstd';

/** Looks at the first bytes: media types in a manifest are the image's word, these are facts. */
export async function compressionOf(path: string): Promise<Compression> {
  await using file = await open(path, 'r');
  const { buffer, bytesRead } = await file.read(Buffer.alloc(4), 0, 4, 0);
  const magic = buffer.subarray(0, bytesRead).toString('hex');
  if (magic.startsWith('1f8b')) return 'gzip';
  return magic === '28b52ffd' ? 'zstd' : 'none';
}

/**
 * Streams the tar inside a layer's blob into `sink`.
 *
 * @returns the digest of the uncompressed tar (OCI's diff id).
 */
export async function pourLayer(
  path: string,
  sink: Writable,
  { budget, signal }: { budget: UnpackBudget; signal?: AbortSignal | undefined },
): Promise<Digest> {
  const counts = { compressed: 0, uncompressed: 0 };
  const hash = createHash('sha256');
  const countIn = passing((chunk) => {
    counts.compressed += chunk.length;
  });
  const countOut = passing((chunk) => {
    counts.uncompressed += chunk.length;
    budget.addBytes(chunk.length, counts);
    hash.update(chunk);
  });
  const unpack = decompressor(await compressionOf(path));
  const source = createReadStream(path, { highWaterMark: 256 * 1024 });
  await pipeline(
    [source, countIn, unpack, countOut, translateSparseHeaders(), sink],
    signal ? { signal } : {},
  );
  return parseDigest(`sha256:${hash.digest('hex')}`);
}

function decompressor(compression: Compression): Duplex {
  if (compression === 'gzip') return createGunzip({ chunkSize: 256 * 1024 });
  if (compression === 'zstd') return createZstdDecompress({ chunkSize: 256 * 1024 });
  return new PassThrough();
}

function passing(look: (chunk: Buffer) => void): Transform {
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      try {
        look(chunk);
        done(null, chunk);
      } catch (error) {
        done(error instanceof Error ? error : new Error(String(error)));
      }
    },
  });
}
