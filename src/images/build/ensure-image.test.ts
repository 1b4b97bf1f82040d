import assert from 'node:assert/strict';
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { assertFails } from '../../../tests/support/assert-fails.ts';
import { makeTar } from '../../../tests/support/tar.ts';
import { createTemporaryDirectory } from '../../../tests/support/temporary-directory.ts';
import { imageLabels } from '../../model/image.ts';
import { createImageStore } from '../image-store.ts';
import { ensureImage, isImageCurrent, recipeDigest } from './ensure-image.ts';

const checkout = join(import.meta.dirname, '..', '..', '..');

describe('ensureImage', () => {
  it('knows a recipe by the names and contents of its files', async () => {
    using directory = createTemporaryDirectory();
    for (const path of ['images/python', 'python']) {
      cpSync(join(checkout, path), join(directory.path, path), { recursive: true });
    }
    const at = (path: string) => join(directory.path, path);
    const recipe = await recipeDigest('python', directory.path);
    const changed = async () => (await recipeDigest('python', directory.path)) !== recipe;
    mkdirSync(at('python/slipway/__pycache__'), { recursive: true });
    writeFileSync(at('python/slipway/__pycache__/x.pyc'), 'compiled');
    assert.equal(await changed(), false);
    writeFileSync(at('python/slipway_runner/extra.py'), '');
    assert.equal(await changed(), true);
    rmSync(at('python/slipway_runner/extra.py'));
    assert.equal(await changed(), false);
    writeFileSync(at('images/python/debian.lock'), 'python3-pandas=1\n');
    assert.equal(await changed(), true);
    await assertFails(recipeDigest('fortran', directory.path), 'recipe-not-found');
  });

  it('returns at once what is there from the same recipe, and takes nothing else for it', async () => {
    using directory = createTemporaryDirectory();
    const store = createImageStore({ root: join(directory.path, 'images') });
    const path = join(directory.path, 'tree.tar');
    writeFileSync(path, await makeTar([{ name: 'etc/motd', content: 'hello' }]));
    assert.equal(await isImageCurrent(store, 'python', checkout), false);
    const add = (recipe: string) =>
      store.import({ kind: 'rootfs', path, config: { labels: { [imageLabels.recipe]: recipe } } }, 'python');
    await add(`sha256:${'0'.repeat(64)}`);
    assert.equal(await isImageCurrent(store, 'python', checkout), false);
    const image = await add(await recipeDigest('python', checkout));
    assert.equal(await isImageCurrent(store, 'python', checkout), true);
    const ensured = await ensureImage(store, 'python', { projectRoot: checkout, hostEnv: {} });
    assert.equal(ensured.digest, image.digest);
  });
});
