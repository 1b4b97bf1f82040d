import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { assertFails } from '../../../tests/support/assert-fails.ts';
import { makeTar } from '../../../tests/support/tar.ts';
import { createTemporaryDirectory } from '../../../tests/support/temporary-directory.ts';
import { applyLayer } from './apply-layer.ts';
import { defaultUnpackLimits, UnpackBudget } from './unpack-limits.ts';

const mebibyte = 1024 * 1024;

/** A file with data here and there; more pieces than a header of the older format holds. */
function writeHoles(path: string, pieces: number): void {
  const file = openSync(path, 'w');
  for (let i = 0; i < pieces; i += 1) writeSync(file, `piece ${i}`, i * mebibyte);
  writeSync(file, '\0', pieces * mebibyte);
  closeSync(file);
}

const formats = {
  'the older format': ['--format=gnu'],
  'pax 0.1': ['--format=posix', '--sparse-version=0.1'],
  'pax 1.0': ['--format=posix', '--sparse-version=1.0'],
};

async function unpack(tar: string, root: string, maxBytes = defaultUnpackLimits.maxBytes): Promise<void> {
  mkdirSync(root);
  await applyLayer(tar, { root, budget: new UnpackBudget({ ...defaultUnpackLimits, maxBytes }) });
}

describe('sparse files', () => {
  for (const [name, options] of Object.entries(formats)) {
    it(`of GNU tar in ${name} are what they were, holes included`, async () => {
      using directory = createTemporaryDirectory();
      const at = (path: string) => join(directory.path, path);
      mkdirSync(at('from'));
      for (const pieces of [0, 3, 40]) writeHoles(at(`from/holes-${pieces}`), pieces);
      writeHoles(at(`from/${'long-name-'.repeat(20)}`), 5);
      writeFileSync(at('from/after'), 'after');
      execFileSync('tar', [...options, '-S', '-C', at('from'), '-cf', at('tar'), '.']);
      assert.ok(statSync(at('tar')).size < mebibyte, 'the tar has no holes in it');
      await unpack(at('tar'), at('to'));
      for (const file of ['holes-0', 'holes-3', 'holes-40', 'after', 'long-name-'.repeat(20)]) {
        const [from, to] = [at(`from/${file}`), at(`to/${file}`)];
        assert.ok(readFileSync(from).equals(readFileSync(to)), file);
        assert.ok(statSync(to).blocks <= statSync(from).blocks + 8, `${file} has its holes`);
      }
      const whole = unpack(at('tar'), at('small'), 40 * mebibyte);
      await assertFails(whole, 'image-too-large');
    });
  }

  it('in a form that cannot be understood are refused, and their good twin is not', async () => {
    const cases = [
      [
        { 'GNU.sparse.major': '1', 'GNU.sparse.minor': '0', 'GNU.sparse.realsize': '8' },
        'nonsense'.repeat(100),
      ],
      [{ 'GNU.sparse.major': '2', 'GNU.sparse.minor': '0', 'GNU.sparse.realsize': '8' }, ''],
      [{ 'GNU.sparse.map': '4,4,0,4', 'GNU.sparse.size': '8' }, '12345678'],
      [{ 'GNU.sparse.map': '0,4,4,400', 'GNU.sparse.size': '8' }, '12345678'],
      [{ 'GNU.sparse.map': '0,4,4,4', 'GNU.sparse.size': '8' }, '123'],
      [{ 'GNU.sparse.map': '0,-4', 'GNU.sparse.size': '8' }, '123'],
      [{ 'GNU.sparse.numblocks': '1', 'GNU.sparse.size': '8' }, '12345678'],
    ] as const;
    const good = [{ 'GNU.sparse.map': '0,4,4,4', 'GNU.sparse.size': '9' }, '12345678'] as const;
    using directory = createTemporaryDirectory();
    const at = (path: string) => join(directory.path, path);
    for (const [i, [pax, content]] of [...cases, good].entries()) {
      // tar-stream writes what it is given, though its types do not say so.
      writeFileSync(at('tar'), await makeTar([{ name: 'odd', content, pax: { ...pax } }]));
      const done = unpack(at('tar'), at(`to-${i}`));
      if (i === cases.length) await done;
      else assert.match((await assertFails(done, 'image-refused')).message, /"odd": its? .*(holes|sparse)/);
    }
    assert.deepEqual(readFileSync(at(`to-${cases.length}/odd`)), Buffer.from('12345678\0'));
  });
});
