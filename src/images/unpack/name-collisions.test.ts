import assert from 'node:assert/strict';
import { type existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, it } from 'node:test';
import { assertFails } from '../../../tests/support/assert-fails.ts';
import { makeTar, type TarEntry } from '../../../tests/support/tar.ts';
import { createTemporaryDirectory } from '../../../tests/support/temporary-directory.ts';
import { isSlipwayError } from '../../base/errors.ts';
import { applyLayer } from './apply-layer.ts';
import { assertDistinctNames } from './name-collisions.ts';
import { UnpackBudget } from './unpack-limits.ts';

async function apply(root: string, tar: Uint8Array) {
  const path = `${root}.tar`;
  writeFileSync(path, tar);
  mkdirSync(root, { recursive: true });
  return applyLayer(path, { root, budget: new UnpackBudget() });
}

describe('names that collide', () => {
  it('are different files: case, composed and decomposed', async () => {
    using directory = createTemporaryDirectory();
    const names = ['xt_mark', 'xt_MARK', 'caf\u00e9', 'cafe\u0301', '\u212b', '\u00c5'];
    const entries: TarEntry[] = names.map((name) => ({ name, content: name }));
    const root = join(directory.path, 'root');
    const { lookAlikes } = await apply(root, await makeTar(entries));
    assert.deepEqual(readdirSync(root).sort(), [...names].sort());
    for (const name of names) assert.equal(readFileSync(join(root, name), 'utf8'), name);
    // The second of each pair that differs in form; case is not counted.
    assert.equal(lookAlikes, 2);
  });

  it('because they are not UTF-8 are refused; one alone is remarked, and so is a real replacement', async () => {
    using directory = createTemporaryDirectory();
    const odd = async (bytes: readonly number[]) => {
      const tars = await Promise.all(
        bytes.map(async (byte) => {
          const tar = await makeTar([{ name: 'nameX', content: String(byte) }]);
          tar[4] = byte;
          const sum = tar
            .subarray(0, 512)
            .fill(' ', 148, 156)
            .reduce((total, one) => total + one, 0);
          tar.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
          return tar.subarray(0, 1024);
        }),
      );
      return Buffer.concat([...tars, Buffer.alloc(1024)]);
    };
    const refused = apply(join(directory.path, 'two'), await odd([0xff, 0xfe]));
    assert.match((await assertFails(refused, 'image-refused')).message, /not UTF-8 and cannot be told/);
    const { lossyNames } = await apply(join(directory.path, 'one'), await odd([0xff]));
    assert.equal(lossyNames, 1);
    const twice = await apply(join(directory.path, 'good'), await odd([0x59, 0x59]));
    assert.equal(twice.lossyNames, 0);
  });
});

describe('the file system of the store', () => {
  it('is accepted when it keeps names apart, as that of this machine does', () => {
    using directory = createTemporaryDirectory();
    assertDistinctNames(directory.path);
    assert.deepEqual(readdirSync(directory.path), []);
  });

  it('is refused when it takes one for another', () => {
    const folds: ((name: string) => string)[] = [
      (name) => name.toLowerCase(),
      (name) => name.normalize('NFD'),
      (name) => name.toUpperCase().normalize('NFC'),
    ];
    for (const fold of folds) {
      using directory = createTemporaryDirectory();
      const isThere = (path: string) => {
        const names = readdirSync(join(path, '..')).map(fold);
        return names.includes(fold(basename(path)));
      };
      assert.throws(
        () => assertDistinctNames(directory.path, isThere as typeof existsSync),
        (error) => isSlipwayError(error, 'store-folds-names'),
      );
      assert.deepEqual(readdirSync(directory.path), []);
    }
  });
});
