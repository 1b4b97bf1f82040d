/** How much an image may unpack to, counted over all its layers, so that a small file cannot fill the disk. */
import { SlipwayError } from '../../base/errors.ts';
import { formatBytes } from '../../base/units.ts';

export interface UnpackLimits {
  /** Bytes of the uncompressed layers together. */
  readonly maxBytes: number;
  /** Entries of the layers together. */
  readonly maxEntries: number;
  /** Uncompressed to compressed bytes of one layer, looked at beyond `ratioFreeBytes`. */
  readonly maxCompressionRatio: number;
  readonly ratioFreeBytes: number;
}

export const defaultUnpackLimits: UnpackLimits = {
  maxBytes: 20e9,
  maxEntries: 1_000_000,
  maxCompressionRatio: 200,
  ratioFreeBytes: 64e6,
};

/** What one image has used of its limits. */
export class UnpackBudget {
  readonly limits: UnpackLimits;
  #bytes = 0;
  #entries = 0;

  constructor(limits: UnpackLimits = defaultUnpackLimits) {
    this.limits = limits;
  }

  addEntry(): void {
    this.#entries += 1;
    if (this.#entries > this.limits.maxEntries) throw tooLarge(`more than ${this.limits.maxEntries} entries`);
  }

  /** Counts a file with holes by its size: whoever copies it may fill them. */
  addHoles(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes > this.limits.maxBytes) throw tooLarge(`more than ${formatBytes(this.limits.maxBytes)}`);
  }

  /** Counts `added` uncompressed bytes; `layer` holds the layer's own totals so far. */
  addBytes(added: number, layer: { readonly compressed: number; readonly uncompressed: number }): void {
    this.#bytes += added;
    if (this.#bytes > this.limits.maxBytes) throw tooLarge(`more than ${formatBytes(this.limits.maxBytes)}`);
    const allowed = this.limits.ratioFreeBytes + layer.compressed * this.limits.maxCompressionRatio;
    if (layer.uncompressed > allowed) {
      throw tooLarge(`a layer that unpacks to over ${this.limits.maxCompressionRatio} times its size`);
    }
  }
}

function tooLarge(what: string): SlipwayError {
  return new SlipwayError(
    'too-large',
    'image-too-large',
    `The image is refused: it has ${what}. If you trust it, raise the unpack limits.`,
  );
}
