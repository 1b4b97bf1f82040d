/**
 * What Docker would make of an image, a sandbox sees: owners, modes, links, whiteouts, a user with a private home.
 * The image is debian:bookworm-slim of this machine's store with layers of ours on top, by way of an export.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { digestOf } from '../../src/base/digest.ts';
import { parseConfig } from '../../src/config/config.ts';
import { readEnvironment } from '../../src/config/env.ts';
import { imagesDir } from '../../src/config/images-dir.ts';
import { exportImage } from '../../src/images/export-image.ts';
import { createImageStore, type ImageStore } from '../../src/images/image-store.ts';
import type { Image } from '../../src/model/image.ts';
import { createTestDriver, type Finished, type TestDriver } from '../support/driver.ts';
import { makeTar, type TarEntry } from '../support/tar.ts';
import { createTemporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.ts';
import { openTestImage } from '../support/test-image.ts';

const owner = { uid: 1000, gid: 1000 };
const long = `${'deep-directory/'.repeat(20)}${'n'.repeat(250)}`;

const layers: readonly TarEntry[][] = [
  [
    { name: 'etc/passwd', content: 'root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n' },
    { name: 'etc/group', content: 'root:x:0:\napp:x:1000:\nothers:x:1001:app\n' },
    { name: 'home/app/', type: 'directory', mode: 0o700, ...owner },
    { name: 'home/app/secret', content: 'mine\n', mode: 0o600, ...owner },
    { name: 'home/app/root-only', content: 'not mine', mode: 0o600 },
    { name: 'srv/data/', type: 'directory', mode: 0o2750, uid: 1000, gid: 1001 },
    { name: 'srv/data/file', content: 'shared', mode: 0o640, uid: 0, gid: 1001 },
    { name: 'srv/data/same', type: 'link', linkname: 'srv/data/file' },
    { name: 'srv/link', type: 'symlink', linkname: '../home/app/secret' },
    { name: 'srv/gone', content: 'lower' },
    { name: 'srv/kept/lower', content: 'lower' },
    { name: 'srv/opaque/lower', content: 'lower' },
    { name: long, content: 'long' },
    { name: 'usr/local/bin/suid', content: '#!/bin/sh\nid -u\n', mode: 0o4755 },
  ],
  [
    { name: 'srv/.wh.gone' },
    { name: 'srv/opaque/.wh..wh..opq' },
    { name: 'srv/opaque/upper', content: 'upper' },
  ],
];

const script = `
id -u; id -G; echo "$HOME"; pwd; cat ~/secret /srv/link
stat -c '%a %u %g %h %n' /home/app /home/app/secret /srv/data /srv/data/file /srv/data/same /usr/local/bin/suid
cat ~/root-only 2>/dev/null || echo refused; cat /srv/data/same; echo
cd /srv && find . | sort; cat /${long}; echo
/usr/local/bin/suid
`;

describe('an image with a user of its own', () => {
  let directory: TemporaryDirectory;
  let driver: TestDriver;
  let seen: Finished;
  let store: ImageStore;
  let image: Image;

  before(async () => {
    directory = createTemporaryDirectory();
    const { image: base } = await openTestImage('debian:bookworm-slim');
    const layout = await exportWithLayers(base.digest, join(directory.path, 'layout'));
    store = createImageStore({ root: join(directory.path, 'images') });
    image = await store.import({ kind: 'oci-layout', path: layout }, 'app');
    driver = await createTestDriver({ image, tree: await store.rootfs(image) });
    seen = await driver.run(['sh', '-c', script]);
  });
  after(async () => {
    await driver[Symbol.asyncDispose]();
    directory[Symbol.dispose]();
  });

  it('runs as that user, who reads a home that is 0700 and nothing that is not theirs', () => {
    const lines = seen.stdout.split('\n');
    assert.deepEqual(
      lines.slice(0, 6),
      ['1000', '1000 1001', '/home/app', '/work', 'mine', 'mine'],
      seen.stderr,
    );
    assert.ok(lines.includes('refused'), seen.stdout);
  });

  it('has owners, modes and links as the layers say, and no setuid', () => {
    const facts = seen.stdout.split('\n').filter((line) => /^\d{3,4} .* \//.test(line));
    assert.deepEqual(facts, [
      '700 1000 1000 2 /home/app',
      '600 1000 1000 1 /home/app/secret',
      '2750 1000 1001 2 /srv/data',
      '640 0 1001 2 /srv/data/file',
      '640 0 1001 2 /srv/data/same',
      '4755 0 0 1 /usr/local/bin/suid',
    ]);
    assert.match(seen.stdout, /\nlong\n1000\n$/, 'a setuid program gains nothing');
  });

  it('is kept as long as a sandbox could be looking at it', async () => {
    assert.equal(await store.remove('app'), false);
    const { inUse } = await store.collectGarbage();
    assert.deepEqual(inUse, [image.digest]);
    assert.equal((await driver.run(['sh', '-c', 'cat ~/secret'])).stdout, 'mine\n');
  });

  it('has what whiteouts leave, and long names', () => {
    const tree = seen.stdout.split('\n').filter((line) => line.startsWith('.'));
    assert.deepEqual(tree, [
      '.',
      './data',
      './data/file',
      './data/same',
      './kept',
      './kept/lower',
      './link',
      './opaque',
      './opaque/upper',
    ]);
  });
});

/** The base as an OCI layout, with our layers and a USER added. */
async function exportWithLayers(base: string, layout: string): Promise<string> {
  const machine = createImageStore({ root: imagesDir(parseConfig(readEnvironment())) });
  await exportImage(machine, { image: base, target: layout });
  const blob = (digest: string) => join(layout, 'blobs', 'sha256', digest.slice('sha256:'.length));
  const put = async (content: Uint8Array | string) => {
    const digest = digestOf(content);
    await writeFile(blob(digest), content);
    return { digest, size: Buffer.byteLength(content) };
  };
  const read = (path: string) => JSON.parse(readFileSync(path, 'utf8'));
  const index = read(join(layout, 'index.json'));
  const manifest = read(blob(index.manifests[0].digest));
  const config = read(blob(manifest.config.digest));
  for (const entries of layers) {
    const layer = await put(await makeTar(entries));
    manifest.layers.push({ mediaType: 'application/vnd.oci.image.layer.v1.tar', ...layer });
    config.rootfs.diff_ids.push(layer.digest);
  }
  config.config = { ...config.config, User: 'app' };
  manifest.config = { ...manifest.config, ...(await put(JSON.stringify(config))) };
  index.manifests[0] = { ...index.manifests[0], ...(await put(JSON.stringify(manifest))) };
  await writeFile(join(layout, 'index.new'), JSON.stringify(index));
  await rename(join(layout, 'index.new'), join(layout, 'index.json'));
  return layout;
}
