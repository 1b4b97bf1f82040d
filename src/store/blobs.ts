/**
 * The Blobs port: bytes by their digest, for inputs, code, captured output and results. Implementation:
 * `local-blobs.ts` (a folder); object storage can be another. Writing the same content twice keeps one copy.
 */
import type { Digest } from '../base/digest.ts';

export interface Blobs {
  /**
   * Stores a stream; durable when the promise resolves.
   *
   * @param limits `maxBytes`: more throws SlipwayError `blob-too-large`; `expected`: another digest throws
   *   `digest-mismatch`. Nothing is kept then.
   */
  put(content: AsyncIterable<Uint8Array>, limits: PutLimits): Promise<StoredBlob>;
  /** The size in bytes, or undefined if there is no such blob. */
  size(digest: Digest): Promise<number | undefined>;
  /** Bytes `start` to `end` (exclusive). @throws SlipwayError `blob-not-found` */
  get(digest: Digest, range?: { readonly start: number; readonly end: number }): AsyncIterable<Uint8Array>;
  /** Removing what is not there is no error. */
  delete(digest: Digest): Promise<void>;
}

export interface PutLimits {
  readonly maxBytes: number;
  readonly expected?: Digest;
}

export interface StoredBlob {
  readonly digest: Digest;
  readonly sizeBytes: number;
}
