/** The directories of a sandbox. In production they are fixed by the image's label; tests name others. */

/**
 * `code`: the script's files; `work`: its working directory; `data`: its inputs.
 *
 * @typedef {{ code: string, work: string, data: string }} Places
 */

/**
 * @param {readonly string[]} argv pairs of `--code`, `--work`, `--data` and a directory
 * @returns {Places}
 */
export function parsePlaces(argv) {
  const given = new Map();
  for (let at = 0; at + 1 < argv.length; at += 2) given.set(argv[at], argv[at + 1]);
  return {
    code: given.get('--code') ?? '/code',
    work: given.get('--work') ?? '/work',
    data: given.get('--data') ?? '/data',
  };
}
