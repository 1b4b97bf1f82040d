/**
 * The author's library: what a script asks its sandbox for.
 *
 *     import { readFileSync, writeFileSync } from 'node:fs';
 *     import { DATA, WORK, context } from 'slipway';
 *     writeFileSync(`${WORK}/copy.csv`, readFileSync(`${DATA}/sales.csv`));
 *
 * Outside a sandbox, `context()` is null, and DATA and WORK are /data and /work unless the environment names others
 * (SLIPWAY_DATA, SLIPWAY_WORK, SLIPWAY_CONTEXT), so that a script can be tried anywhere.
 */
import { readFileSync } from 'node:fs';

/** The input files, read-only. */
export const DATA = process.env.SLIPWAY_DATA ?? '/data';

/** The writable work directory; output files are collected from here. */
export const WORK = process.env.SLIPWAY_WORK ?? '/work';

/**
 * The context data that the caller gave with the run: any JSON value, null if there is none.
 *
 * @returns {any}
 */
export function context() {
  const path = process.env.SLIPWAY_CONTEXT;
  return path === undefined ? null : JSON.parse(readFileSync(path, 'utf8'));
}
