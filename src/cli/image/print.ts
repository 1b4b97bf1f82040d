/** Images on standard output: for people, or as JSON. */
import { formatBytes } from '../../base/units.ts';
import type { Image } from '../../model/image.ts';
import type { TextSink } from '../progress.ts';
import type { JsonFlag } from './context.ts';

export function printImage(image: Image, { json }: JsonFlag, out: TextSink): void {
  if (json) {
    printJson(image, out);
    return;
  }
  const user = image.user.name ? `${image.user.name} (${image.user.uid})` : String(image.user.uid);
  const facts: string[][] = [
    ['name', namesOf(image)],
    ['digest', image.digest],
    ['size', formatBytes(image.sizeBytes)],
    ['architecture', image.architecture],
    ['user', user],
    ['runner', image.runner ? `protocol ${image.runner.protocol}` : 'none'],
    ['packages', String(image.packages.length)],
    ...image.notes.map((note) => ['note', note]),
  ];
  out.write(table(facts));
}

export function packageTable({ packages }: Image): string {
  const rows = packages.map(({ name, version, source }) => [name, version, source]);
  return table([['PACKAGE', 'VERSION', 'FROM'], ...rows]);
}

export function printJson(value: unknown, out: TextSink): void {
  out.write(`${JSON.stringify(value, null, 2)}\n`);
}

export function namesOf(image: Pick<Image, 'names'>): string {
  return image.names.join(', ') || '(none)';
}

export function shortDigest(image: Pick<Image, 'digest'>): string {
  return image.digest.slice('sha256:'.length, 'sha256:'.length + 12);
}

/** Columns of text, as wide as their widest cell. What images say about themselves is shown escaped. */
export function table(rows: readonly (readonly string[])[]): string {
  const clean = rows.map((row) => row.map((cell) => cell.replace(/[\p{Cc}\p{Cf}]/gu, '�')));
  const widths = clean.reduce<number[]>(
    (all, row) => row.map((cell, i) => Math.max(cell.length, all[i] ?? 0)),
    [],
  );
  const lines = clean.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  return lines.map((line) => `${line}\n`).join('');
}
