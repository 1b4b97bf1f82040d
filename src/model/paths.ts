/** Relative paths that cross a trust boundary: of input files, of code, of results. */
import { SlipwayError } from '../base/errors.ts';

const maxPathBytes = 1024;
const maxPartBytes = 255;

/**
 * Checks a relative path such as `data/2024.csv`: parts between single slashes, none empty, `.` or `..`, no
 * NUL, valid Unicode, within the limits of Linux file systems.
 *
 * @param what what the path names, for the message (`input file`)
 * @throws SlipwayError `bad-path`
 */
export function parseRelativePath(value: unknown, what: string): string {
  if (typeof value !== 'string') throw badPath(what, String(value), 'it is not text');
  const fault = faultOf(value);
  if (fault !== undefined) throw badPath(what, value, fault);
  return value;
}

function faultOf(path: string): string | undefined {
  if (path === '') return 'it is empty';
  if (!path.isWellFormed()) return 'it is not valid Unicode';
  if (path.includes('\0')) return 'it contains a NUL';
  if (path.startsWith('/')) return 'it is absolute';
  if (Buffer.byteLength(path) > maxPathBytes) return `it is longer than ${maxPathBytes} bytes`;
  for (const part of path.split('/')) {
    if (part === '' || part === '.' || part === '..') return `it has the part "${part}"`;
    if (Buffer.byteLength(part) > maxPartBytes) return `a part is longer than ${maxPartBytes} bytes`;
  }
  return undefined;
}

function badPath(what: string, path: string, fault: string): SlipwayError {
  const shown = JSON.stringify(path.slice(0, 200));
  return new SlipwayError(
    'invalid-input',
    'bad-path',
    `The path ${shown} of the ${what} cannot be used: ${fault}. Use a relative path such as "data/2024.csv".`,
  );
}

/**
 * Refuses a set of files in which one path is twice or one is a directory of another.
 *
 * @throws SlipwayError `bad-path`
 */
export function assertDistinctPaths(paths: readonly string[], what: string): void {
  const files = new Set<string>();
  for (const path of paths) {
    if (files.has(path)) throw badPath(what, path, 'it is there twice');
    files.add(path);
  }
  for (const path of paths) {
    for (let at = path.indexOf('/'); at >= 0; at = path.indexOf('/', at + 1)) {
      if (files.has(path.slice(0, at))) throw badPath(what, path, `"${path.slice(0, at)}" is also a file`);
    }
  }
}
