/** The import lines of the source files below a directory, for the architecture test. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

export interface SourceFile {
  /** Relative to the directory, for example `runs/submit-run.ts`. */
  readonly path: string;
  readonly text: string;
  /** Files of the same directory that it imports, types too. */
  readonly imports: readonly string[];
}

const specifiers = [
  /^\s*(?:import|export)\b[^'"`;]*?\bfrom\s*['"]([^'"]+)['"]/gm,
  /^\s*import\s*['"]([^'"]+)['"]/gm,
  /\bimport\s*\(\s*['"]([^'"]+)['"]/g,
  /\bnew URL\(\s*['"]([^'"]+\.ts)['"]\s*,\s*import\.meta\.url/g,
];

/** Every TypeScript file below `directory`. */
export function readSources(directory: string): SourceFile[] {
  const names = readdirSync(directory, { recursive: true, encoding: 'utf8' });
  return names
    .filter((name) => name.endsWith('.ts'))
    .sort()
    .map((path) => readSource(directory, path));
}

function readSource(directory: string, path: string): SourceFile {
  const text = readFileSync(join(directory, path), 'utf8');
  return { path, text, imports: importsIn(text).map((found) => relative('.', join(dirname(path), found))) };
}

/** The relative specifiers in a text: static, dynamic, re-exported, and worker URLs. */
export function importsIn(text: string): string[] {
  const code = text.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
  const found = specifiers.flatMap((pattern) => [...code.matchAll(pattern)].map((match) => match[1] ?? ''));
  return found.filter((specifier) => specifier.startsWith('.'));
}

/** A path of files, each importing the next and the last the first, or undefined. */
export function findCycle(files: readonly SourceFile[]): string[] | undefined {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): string[] | undefined => {
    if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path];
    if (done.has(path)) return undefined;
    for (const next of byPath.get(path)?.imports ?? []) {
      const cycle = visit(next, [...trail, path]);
      if (cycle) return cycle;
    }
    done.add(path);
    return undefined;
  };
  for (const file of files) {
    const cycle = visit(file.path, []);
    if (cycle) return cycle;
  }
  return undefined;
}
