/** The codes of all errors that the program can report, read from its source, for docs/errors.md. */
import { errorKinds } from '../../src/base/errors.ts';
import type { SourceFile } from './imports.ts';

export interface ErrorCode {
  readonly code: string;
  readonly kind: string;
}

/** Files that make errors whose code is not a literal there, and the codes that no pattern finds. */
export const computed: Readonly<Record<string, readonly ErrorCode[]>> = {
  'base/errors.ts': [{ kind: 'internal', code: 'internal-error' }],
  'base/units.ts': [
    { kind: 'invalid-input', code: 'bad-duration' },
    { kind: 'invalid-input', code: 'bad-size' },
  ],
  // These make an error again that came from elsewhere, or from a table that the patterns find.
  'client/problem-reply.ts': [],
  'http/errors.ts': [],
  'runtime/oci/prepare.ts': [],
  'starter/remote/connection.ts': [],
  'store/sqlite/protocol.ts': [],
  'store/sqlite/sqlite-errors.ts': [],
};

const kind = `'(?<kind>${errorKinds.join('|')})'`;
const code = "'(?<code>[a-z0-9]+(?:-[a-z0-9]+)+)'";
const patterns = [
  new RegExp(`[([]\\s*${kind}\\s*,\\s*${code}\\s*,`, 'g'),
  new RegExp(`\\bkind:\\s*${kind}\\s*,\\s*code:\\s*${code}`, 'g'),
  new RegExp(`(?<kind>)\\btoSlipwayError\\([^()]*,\\s*${code}\\)`, 'g'),
];
const helper = new RegExp(
  `function (\\w+)\\(code: string[^]*?new SlipwayError\\(\\s*${kind}\\s*,\\s*code\\b`,
  'g',
);

/** Every code with its kind, in alphabetical order. */
export function findErrorCodes(sources: readonly SourceFile[]): ErrorCode[] {
  const found = sources
    .filter(isProgram)
    .flatMap(({ path, text }) => [...codesIn(text), ...(computed[path] ?? [])]);
  const byCode = new Map(found.map((entry) => [`${entry.code} ${entry.kind}`, entry]));
  return [...byCode.values()].sort((a, b) => (a.code < b.code ? -1 : 1));
}

/** The files in which some error has a code that is not a literal. */
export function findComputed(sources: readonly SourceFile[]): string[] {
  const isPlain = /^new SlipwayError\(\s*'[a-z-]+'\s*,\s*'[a-z0-9-]+'/;
  const made = (text: string) => [...withoutComments(text).matchAll(/new SlipwayError\(/g)];
  return sources
    .filter(isProgram)
    .filter(({ text }) =>
      made(text).some((match) => !isPlain.test(withoutComments(text).slice(match.index, match.index + 200))),
    )
    .map(({ path }) => path);
}

function codesIn(source: string): ErrorCode[] {
  const text = withoutComments(source);
  const direct = patterns.flatMap((pattern) =>
    [...text.matchAll(pattern)].map(({ groups }) => toErrorCode(groups?.['kind'], groups?.['code'])),
  );
  return [...direct, ...codesOfHelpers(text)];
}

/** `function impossible(code: string, …)` that makes an error of one kind, and its calls. */
function codesOfHelpers(text: string): ErrorCode[] {
  return [...text.matchAll(helper)].flatMap(({ 1: name, groups }) => {
    const calls = text.matchAll(new RegExp(`\\b${name}\\(\\s*${code}`, 'g'));
    return [...calls].map((call) => toErrorCode(groups?.['kind'], call.groups?.['code']));
  });
}

function toErrorCode(foundKind: string | undefined, foundCode: string | undefined): ErrorCode {
  return { kind: foundKind || 'internal', code: foundCode ?? '' };
}

function withoutComments(text: string): string {
  return text.replace(/^\s*\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
}

function isProgram({ path }: SourceFile): boolean {
  return !path.endsWith('.test.ts');
}
