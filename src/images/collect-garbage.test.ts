import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { makeTar, writeOciLayout } from '../../tests/support/tar.ts';
import { createTemporaryDirectory } from '../../tests/support/temporary-directory.ts';
import { parseDigest } from '../base/digest.ts';
import { createImageStore, type ImageStore } from './image-store.ts';
import { lockFile } from './lock-file.ts';

interface Bench extends Disposable {
  readonly store: ImageStore;
  readonly root: string;
  readonly at: (name: string) => string;
  /** Imports an image of one shared layer and one of its own. */
  readonly add: (name: string, content: string) => ReturnType<ImageStore['import']>;
}

function bench(): Bench {
  const directory = createTemporaryDirectory();
  const at = (name: string) => join(directory.path, name);
  const store = createImageStore({ root: at('images') });
  return {
    store,
    root: at('images'),
    at,
    async add(name, content) {
      const shared = await makeTar([{ name: 'shared', content: 'x'.repeat(5000) }]);
      await writeOciLayout(at(content), [shared, await makeTar([{ name: 'own', content }])]);
      return store.import({ kind: 'oci-layout', path: at(content) }, name);
    },
    [Symbol.dispose]: () => directory[Symbol.dispose](),
  };
}

const blobsIn = (root: string) => readdirSync(join(root, 'blobs', 'sha256'));

describe('collectGarbage', () => {
  it('removes what lost its name and blobs without an image, and says how much', async () => {
    using b = bench();
    const old = await b.add('tool', 'old');
    const young = await b.add('tool', 'young');
    const stray = parseDigest(`sha256:${'5'.repeat(64)}`);
    writeFileSync(b.store.blob(stray), 'stray');
    const would = await b.store.collectGarbage({ dryRun: true });
    assert.deepEqual(
      would.images.map(({ digest }) => digest),
      [old.digest],
    );
    assert.equal(blobsIn(b.root).length, 8, 'a dry run removes nothing');
    const did = await b.store.collectGarbage();
    assert.deepEqual(did, would);
    assert.equal(did.images[0]?.sizeBytes, old.sizeBytes);
    // Manifest, config and one layer of the old image, and the stray one; the shared layer stays.
    assert.equal(did.blobs.count, 4);
    assert.equal(did.freedBytes, old.sizeBytes + did.blobs.sizeBytes);
    assert.equal(blobsIn(b.root).length, 4);
    await b.store.verify(young);
    assert.deepEqual(await b.store.list(), [{ ...young, names: ['tool'] }]);
    assert.deepEqual(readdirSync(join(b.root, 'scratch')), []);
    assert.deepEqual((await b.store.collectGarbage()).freedBytes, 0);
  });

  it('keeps what the caller names', async () => {
    using b = bench();
    const old = await b.add('tool', 'old');
    await b.add('tool', 'young');
    const kept = await b.store.collectGarbage({ keep: new Set([old.digest]) });
    assert.deepEqual([kept.images, kept.inUse, kept.blobs.count], [[], [old.digest], 0]);
    await b.store.verify(old);
  });

  it('keeps what is mounted, by a name and without one, until it is not', async () => {
    using b = bench();
    const image = await b.add('tool', 'old');
    const tree = await b.store.rootfs(image);
    const view = b.at('view');
    mkdirSync(view);
    execFileSync('mount', ['--bind', tree, view]);
    try {
      assert.equal(await b.store.remove('tool'), false);
      assert.deepEqual(
        (await b.store.list()).map(({ names }) => names),
        [[]],
      );
      assert.deepEqual((await b.store.collectGarbage({ dryRun: true })).inUse, [image.digest]);
      assert.deepEqual((await b.store.collectGarbage()).inUse, [image.digest]);
      assert.equal(readFileSync(join(view, 'own'), 'utf8'), 'old');
      assert.ok(existsSync(join(tree, 'own')));
      await b.store.verify(image);
    } finally {
      execFileSync('umount', [view]);
    }
    assert.deepEqual((await b.store.collectGarbage()).images.length, 1);
    assert.deepEqual([blobsIn(b.root), await b.store.list()], [[], []]);
  });

  it('waits for an import, and an import for it', async () => {
    using b = bench();
    await b.add('tool', 'old');
    const importing = await lockFile(join(b.root, 'lock'), { mode: 'shared' });
    const waited = Promise.withResolvers<void>();
    let isDone = false;
    const collecting = b.store.remove('tool', { progress: () => waited.resolve() }).then(() => {
      isDone = true;
    });
    await waited.promise;
    assert.equal(isDone, false);
    await b.add('other', 'other'); // shares the lock
    assert.equal(isDone, false);
    await importing[Symbol.asyncDispose]();
    await collecting;
    assert.deepEqual(
      (await b.store.list()).map(({ names }) => names),
      [['other']],
    );
  });
});
