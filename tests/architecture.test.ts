/** Dependencies point one way: reads the import lines of src/ and fails on a wrong arrow. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { type Room, rooms, roomTable } from './support/architecture.ts';
import { findCycle, importsIn, readSources, type SourceFile } from './support/imports.ts';

const checkout = join(import.meta.dirname, '..');
const sources = readSources(join(checkout, 'src'));
const program = sources.filter((file) => !file.path.endsWith('.test.ts'));

describe('architecture', () => {
  it('has every room of the table, and no file outside a room', () => {
    const used = new Set(sources.map((file) => roomNameOf(file.path)));
    assert.deepEqual([...used].sort(), rooms.map((room) => room.name).sort());
  });

  it('has no import against the arrows', () => {
    assert.deepEqual(program.flatMap(wrongImports), []);
  });

  it('has no import that leads out of src/ or to no file', () => {
    const paths = new Set(sources.map((file) => file.path));
    const lost = program.flatMap((file) => file.imports.filter((path) => !paths.has(path)));
    assert.deepEqual(lost, []);
  });

  it('has no cycle between files', () => {
    assert.equal(findCycle(program)?.join(' → '), undefined);
  });

  it('reads the environment in config/ only', () => {
    const readers = program.filter((file) =>
      /\bprocess\s*\.\s*env\b|\benv\b[^;\n]*from 'node:process'/.test(file.text),
    );
    assert.deepEqual(
      readers.map((file) => file.path).filter((path) => roomNameOf(path) !== 'config'),
      [],
    );
  });

  it('is printed in ARCHITECTURE.md as it is enforced', () => {
    const page = readFileSync(join(checkout, 'ARCHITECTURE.md'), 'utf8');
    assert.ok(
      withoutPadding(page).includes(withoutPadding(roomTable())),
      `ARCHITECTURE.md should hold this table:\n${roomTable()}`,
    );
  });
});

describe('the architecture test itself', () => {
  it('sees every form of import', () => {
    const text = [
      "import { a,\n  b } from './a.ts';",
      "import type { C } from '../base/c.ts';",
      "import './d.ts';",
      "export * from './e.ts';",
      "const f = await import('./f.ts');",
      "new Worker(new URL('./g.ts', import.meta.url));",
      "import { readFile } from 'node:fs';",
      "// import { h } from './h.ts';",
      "/* import { i } from './i.ts'; */",
    ].join('\n');
    const found = importsIn(text).sort();
    assert.deepEqual(found, ['../base/c.ts', './a.ts', './d.ts', './e.ts', './f.ts', './g.ts']);
  });

  it('finds a wrong arrow and a cycle', () => {
    const low: SourceFile = { path: 'base/low.ts', text: '', imports: ['runs/high.ts'] };
    const high: SourceFile = { path: 'runs/high.ts', text: '', imports: ['base/low.ts'] };
    assert.deepEqual(wrongImports(low), ['base/low.ts imports runs/high.ts']);
    assert.deepEqual(wrongImports(high), []);
    assert.deepEqual(findCycle([low, high]), ['base/low.ts', 'runs/high.ts', 'base/low.ts']);
    assert.equal(findCycle([{ ...low, imports: [] }, high]), undefined);
  });
});

/** A formatter may pad the cells of a table. */
function withoutPadding(markdown: string): string {
  return markdown.replace(/ *\| */g, '|').replace(/-{3,}/g, '---');
}

function roomNameOf(path: string): string {
  return path.split('/')[0] ?? path;
}

function wrongImports(file: SourceFile): string[] {
  const room = rooms.find((candidate) => candidate.name === roomNameOf(file.path));
  if (!room) return [`${file.path} is in no room`];
  return file.imports
    .filter((path) => !mayImport(room, roomNameOf(path)))
    .map((path) => `${file.path} imports ${path}`);
}

function mayImport(room: Room, other: string): boolean {
  return other === room.name || room.mayImport === 'everything' || room.mayImport.includes(other);
}
