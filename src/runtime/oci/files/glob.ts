/**
 * Patterns for files in /work: `*` any characters of one part of a path, `?` one of them, `**` any number of
 * parts; everything else stands for itself, and files whose names begin with a dot are no exception. Matching
 * is linear in the path for each star, whatever the pattern: both come from people who are not trusted.
 */
import { SlipwayError } from '../../../base/errors.ts';

const maxPatterns = 100;
const maxPatternLength = 1024;

export interface Glob {
  /** Whether a file with these parts is meant. */
  matches(parts: readonly string[]): boolean;
  /** Whether a file below the directory with these parts could be meant. */
  reaches(parts: readonly string[]): boolean;
}

/**
 * A pattern that ends in `/` means everything below that directory; `./` in front is left out.
 *
 * @throws SlipwayError `bad-pattern`
 */
export function toGlob(patterns: readonly string[]): Glob {
  if (patterns.length > maxPatterns)
    throw badPattern(`${patterns.length} patterns`, `at most ${maxPatterns} can be given`);
  const all = patterns.map(toParts);
  return {
    matches: (parts) => all.some((pattern) => matchParts(pattern, parts)),
    reaches: (parts) => all.some((pattern) => couldMatchBelow(pattern, parts)),
  };
}

function toParts(pattern: string): readonly string[] {
  if (pattern.length > maxPatternLength) throw badPattern(pattern, `it is longer than ${maxPatternLength}`);
  const whole = pattern.endsWith('/') ? `${pattern}**` : pattern;
  const parts = whole.split('/').filter((part) => part !== '.');
  if (parts.includes('..') || parts.includes(''))
    throw badPattern(pattern, 'use a path inside /work, such as "out/*.csv"');
  return parts;
}

/** Greedy matching that goes back to the last star only: enough when every star stands for the same thing. */
function matchSequence<Item>(
  pattern: readonly Item[],
  items: readonly string[],
  rules: { isStar: (item: Item) => boolean; equals: (item: Item, value: string) => boolean },
): boolean {
  let [at, star, resume] = [0, -1, 0];
  for (let i = 0; i < items.length; ) {
    const item = pattern[at];
    const value = items[i] ?? '';
    if (item !== undefined && rules.isStar(item)) {
      [star, resume] = [at, i];
      at += 1;
    } else if (item !== undefined && rules.equals(item, value)) {
      at += 1;
      i += 1;
    } else if (star >= 0) {
      resume += 1;
      [at, i] = [star + 1, resume];
    } else return false;
  }
  return pattern.slice(at).every(rules.isStar);
}

function matchParts(pattern: readonly string[], parts: readonly string[]): boolean {
  return matchSequence(pattern, parts, { isStar: (part) => part === '**', equals: matchPart });
}

function matchPart(pattern: string, name: string): boolean {
  return matchSequence([...pattern], [...name], {
    isStar: (character) => character === '*',
    equals: (character, value) => character === '?' || character === value,
  });
}

function couldMatchBelow(pattern: readonly string[], parts: readonly string[]): boolean {
  for (const [i, name] of parts.entries()) {
    const part = pattern[i];
    if (part === '**') return true;
    if (part === undefined || !matchPart(part, name)) return false;
  }
  return pattern.length > parts.length;
}

function badPattern(pattern: string, reason: string): SlipwayError {
  return new SlipwayError(
    'invalid-input',
    'bad-pattern',
    `The output pattern ${JSON.stringify(pattern.slice(0, 200))} cannot be used: ${reason}.`,
  );
}
