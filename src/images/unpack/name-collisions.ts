/**
 * Names that differ and could be taken for each other. On Linux they are different files, and images have them for
 * good reasons (`xt_mark` and `xt_MARK`); what would hurt is a store on a file system that takes one for the other:
 * then an entry of a layer silently replaces another, and the tree is not what was signed.
 * The reasons: docs/decisions/0009-names-that-collide.md.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SlipwayError } from '../../base/errors.ts';

const probe = 'probe-\u00e4';
/** What some file systems take for the same: other case, decomposed. */
const variants = ['PROBE-\u00c4', 'Probe-\u00e4', 'probe-a\u0308'];

/**
 * @param directory where images are unpacked
 * @throws SlipwayError `store-folds-names`
 */
export function assertDistinctNames(directory: string, isThere = existsSync): void {
  const place = mkdtempSync(join(directory, 'names-'));
  try {
    writeFileSync(join(place, probe), '');
    const folded = variants.find((name) => isThere(join(place, name)));
    if (folded === undefined) return;
  } finally {
    rmSync(place, { recursive: true });
  }
  throw new SlipwayError(
    'unsupported',
    'store-folds-names',
    `The file system of the image store (${directory}) takes names for the same that differ in case or in Unicode ` +
      'form, so that files of an image would replace each other. Set SLIPWAY_IMAGES_DIR to a directory on another ' +
      'one, such as ext4 without casefold.',
  );
}

/** The names of one layer that are not ASCII, by their composed form. */
export class NameForms {
  readonly #known = new Map<string, string>();

  /** Whether the layer, or the directory below it, has a name that differs from this one in its Unicode form alone. */
  meets(directory: string, name: string): boolean {
    if (!/[^\0-\x7f]/.test(name)) return false;
    const composed = join(directory, name.normalize('NFC'));
    const known = this.#known.get(composed);
    this.#known.set(composed, name);
    if (known !== undefined && known !== name) return true;
    const others = [name.normalize('NFC'), name.normalize('NFD')].filter((form) => form !== name);
    return others.some((form) => existsSync(join(directory, form)));
  }
}

/** What the tar reader puts where a name is not UTF-8: names that differed may be the same now. */
export function isLossy(name: string): boolean {
  return name.includes('\ufffd');
}
