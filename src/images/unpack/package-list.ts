/**
 * Which packages an image holds: from the list that our recipes leave inside, else from dpkg's own status
 * file and from Python's metadata directories. All of it is the image's word: parsed, capped, never trusted.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { buildNotesPath, type ImagePackage, packageListPath } from '../../model/image.ts';
import { lstatOf, readInRoot, resolveParts } from './rooted-path.ts';

const maxPackages = 10_000;
const maxListBytes = 8 * 1024 * 1024;
const maxStatusBytes = 64 * 1024 * 1024;
const maxNotes = 50;

const word = z.string().regex(/^[\x21-\x7e]{1,200}$/);
const list = z
  .array(z.object({ name: word, version: word, source: z.enum(['debian', 'pypi', 'npm']) }))
  .max(maxPackages);

/** Sorted by source and name. */
export function readPackages(root: string): readonly ImagePackage[] {
  const found = fromList(root) ?? [...fromDpkg(root), ...fromDistInfo(root)];
  const key = (item: ImagePackage) => `${item.source} ${item.name}`;
  return found.slice(0, maxPackages).sort((a, b) => (key(a) < key(b) ? -1 : 1));
}

/** What the recipe's build had to remark, one line each. */
export function readBuildNotes(root: string): readonly string[] {
  const text = readInRoot(root, buildNotesPath, 64 * 1024)?.toString('utf8') ?? '';
  return cleanNotes(text);
}

/** Lines of text that came out of an image, fit to be shown. */
export function cleanNotes(text: string): readonly string[] {
  const lines = text.split('\n').map((line) => line.replace(/\p{C}/gu, '').trim().slice(0, 300));
  return lines.filter((line) => line !== '').slice(0, maxNotes);
}

function fromList(root: string): ImagePackage[] | undefined {
  const text = readInRoot(root, packageListPath, maxListBytes)?.toString('utf8');
  if (text === undefined) return undefined;
  try {
    return list.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

function fromDpkg(root: string): ImagePackage[] {
  const text = readInRoot(root, 'var/lib/dpkg/status', maxStatusBytes)?.toString('utf8') ?? '';
  return text.split('\n\n').flatMap((block) => {
    if (!/^Status: \S+ \S+ installed$/m.test(block)) return [];
    const name = /^Package: (\S{1,200})$/m.exec(block)?.[1];
    const version = /^Version: (\S{1,200})$/m.exec(block)?.[1];
    return name && version ? [{ name, version, source: 'debian' as const }] : [];
  });
}

/** pip's own installations: Debian's lie in dist-packages, and dpkg has named them already. */
function fromDistInfo(root: string): ImagePackage[] {
  return directoriesIn(root, 'usr/local/lib')
    .filter((name) => /^python3[\d.]*$/.test(name))
    .flatMap((python) =>
      ['site-packages', 'dist-packages'].flatMap((kind) =>
        directoriesIn(root, `usr/local/lib/${python}/${kind}`).flatMap(fromDirectoryName),
      ),
    );
}

function fromDirectoryName(directory: string): ImagePackage[] {
  const match = /^([\w.]{1,100})-([\w.+!]{1,100})\.dist-info$/.exec(directory);
  const [, name, version] = match ?? [];
  return name && version ? [{ name: name.replaceAll('_', '-'), version, source: 'pypi' }] : [];
}

function directoriesIn(root: string, path: string): string[] {
  const real = join(root, ...resolveParts(root, path.split('/')));
  if (!lstatOf(real)?.isDirectory()) return [];
  return readdirSync(real, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? [entry.name] : [],
  );
}
