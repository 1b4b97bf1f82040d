import assert from 'node:assert/strict';
import {
  appendFileSync,
  chmodSync,
  linkSync,
  mkdirSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { createTemporaryDirectory } from '../../tests/support/temporary-directory.ts';
import { findTreeDamage, type Thoroughness, writeTreeList } from './tree-list.ts';

/** A name that is no valid UTF-8. */
const oddName = Buffer.from([0x6f, 0xff, 0x20, 0x22, 0x0a]);

interface Bench extends Disposable {
  readonly tree: string;
  readonly list: string;
  at(name: string): string;
  damage(thoroughness?: Thoroughness): Promise<string | undefined>;
}

async function createBench(): Promise<Bench> {
  const directory = createTemporaryDirectory();
  const tree = join(directory.path, 'trée');
  const list = join(directory.path, 'tree.list');
  const at = (name: string) => join(tree, name);
  mkdirSync(at('a/b'), { recursive: true });
  writeFileSync(at('a/b/file'), 'content');
  writeFileSync(at('a.txt'), 'more');
  linkSync(at('a.txt'), at('linked.txt'));
  symlinkSync('a/b', at('link'));
  writeFileSync(Buffer.concat([Buffer.from(at('a/')), oddName]), 'odd');
  await writeTreeList(tree, list);
  const damage = (thoroughness: Thoroughness = 'quick') => findTreeDamage(tree, list, thoroughness);
  return { tree, list, at, damage, [Symbol.dispose]: () => directory[Symbol.dispose]() };
}

describe('the list of a tree', () => {
  it('fits the tree that it was made of', async () => {
    using bench = await createBench();
    assert.equal(await bench.damage('quick'), undefined);
    assert.equal(await bench.damage('full'), undefined);
  });

  const damages: Record<string, readonly [(bench: Bench) => void, RegExp]> = {
    'a file that grew': [({ at }) => appendFileSync(at('a/b/file'), '!'), /"\/a\/b\/file" has changed/],
    'a file that was written again': [
      ({ at }) => writeFileSync(at('a.txt'), 'less'),
      /"\/a.txt" has changed/,
    ],
    'a file that is missing': [({ at }) => unlinkSync(at('a/b/file')), /"\/a\/b\/file" is missing/],
    'a last file that is missing': [({ at }) => unlinkSync(at('linked.txt')), /"\/linked.txt" is missing/],
    'a directory that is missing': [
      ({ at }) => rmSync(at('a/b'), { recursive: true }),
      /"\/a\/b" is missing/,
    ],
    'a file too many': [({ at }) => writeFileSync(at('a/c'), ''), /"\/a\/c" does not belong to it/],
    'a last file too many': [({ at }) => writeFileSync(at('a/b/z'), ''), /"\/a\/b\/z" does not belong to it/],
    'another mode': [({ at }) => chmodSync(at('a/b'), 0o777), /"\/a\/b" has changed/],
    'another link': [
      ({ at }) => {
        unlinkSync(at('link'));
        symlinkSync('/etc', at('link'));
      },
      /"\/link" has changed/,
    ],
    'no tree': [({ tree }) => rmSync(tree, { recursive: true }), /its tree is missing/],
    'no list': [({ list }) => unlinkSync(list), /the list of its files is missing/],
    'a list that is cut off': [({ list }) => writeFileSync(list, ''), /does not belong to it/],
    'a list of something else': [
      ({ list }) => writeFileSync(list, 'x\ty\n'),
      /the list of its files is damaged/,
    ],
  };
  for (const [what, [harm, message]] of Object.entries(damages)) {
    it(`finds ${what}`, async () => {
      using bench = await createBench();
      harm(bench);
      assert.match((await bench.damage('quick')) ?? 'nothing', message);
      assert.match((await bench.damage('full')) ?? 'nothing', message);
    });
  }

  it('finds a content that keeps size and time, if it is to read everything', async () => {
    using bench = await createBench();
    const file = bench.at('a/b/file');
    // Seconds as a fraction lose nanoseconds on their way: the middle of the millisecond stays in it.
    const modified = (Math.floor(statSync(file).mtimeMs) + 0.5) / 1000;
    writeFileSync(file, 'CONTENT');
    utimesSync(file, modified, modified);
    assert.equal(await bench.damage('quick'), undefined);
    assert.equal(await bench.damage('full'), '"/a/b/file" has changed');
  });
});
