/**
 * Images that are damaged on disk. Sizes, times and names are compared before the first use: no code runs in a
 * changed tree. What hides behind the same size and time, `slipway image verify` finds.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import type { Digest } from '../../src/base/digest.ts';
import { parseManifest } from '../../src/images/formats/oci-documents.ts';
import { createImageStore } from '../../src/images/image-store.ts';
import { runSlipway } from '../support/run-slipway.ts';
import { type ServiceProcess, startServiceProcess } from '../support/service.ts';
import { openTestImage } from '../support/test-image.ts';
import { createCountingRuntime } from './counting-runtime.ts';
import { assertWorks, run, script } from './service-runs.ts';

/** A store of our own with the image of set-up, by hard links: a file may be replaced, never written into. */
interface OwnStore extends Disposable {
  readonly directory: string;
  readonly root: string;
  readonly digest: Digest;
  /** The path of something in the image's tree. */
  inTree(path: string): string;
  blob(digest: Digest): string;
  readonly layer: Digest;
}

async function createOwnStore(): Promise<OwnStore> {
  const { image, tree } = await openTestImage();
  const hex = image.digest.slice('sha256:'.length);
  const original = join(tree, '..', '..', '..');
  const directory = mkdtempSync(join(dirname(original), 'test-'));
  const root = join(directory, 'images');
  for (const part of ['blobs', 'names', `unpacked/${hex}`]) {
    mkdirSync(join(root, dirname(part)), { recursive: true, mode: 0o700 });
    execFileSync('cp', ['-al', join(original, part), join(root, part)]);
  }
  const blob = (digest: Digest) => join(root, 'blobs', 'sha256', digest.slice('sha256:'.length));
  const [layer] = parseManifest(readFileSync(blob(image.digest), 'utf8')).layers;
  assert.ok(layer);
  return {
    directory,
    root,
    digest: image.digest,
    inTree: (path) => join(root, 'unpacked', hex, 'rootfs', path),
    blob,
    layer: layer.digest,
    [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }),
  };
}

/** Puts another file in the place of one. */
function replace(path: string, change: (content: Buffer) => Uint8Array): void {
  const content = readFileSync(path);
  const { mode } = statSync(path);
  rmSync(path);
  writeFileSync(path, change(content), { mode });
}

function flipLastByte(content: Buffer): Uint8Array {
  const changed = Buffer.from(content);
  changed.writeUInt8(changed.readUInt8(changed.length - 1) ^ 1, changed.length - 1);
  return changed;
}

async function verify(service: ServiceProcess): Promise<{ status: number | string; stderr: string }> {
  return await runSlipway(['image', 'verify', 'python'], service.env);
}

const module = '/usr/lib/python3.11/json/__init__.py';

describe('an image', () => {
  it('whose tree is damaged is refused before any code runs, by digest and reason; an import mends it', async () => {
    using store = await createOwnStore();
    const runtime = createCountingRuntime(store.directory);
    const settings = { SLIPWAY_IMAGES_DIR: store.root, SLIPWAY_RUNTIME: runtime.path };
    await using service = await startServiceProcess({ settings });
    const damages = [
      [() => replace(store.inTree(module), (content) => Buffer.concat([content, content])), 'has changed'],
      [() => rmSync(store.inTree(module)), 'is missing'],
      [() => rmSync(store.inTree(''), { recursive: true }), 'its tree is missing'],
    ] as const;
    for (const [harm, words] of damages) {
      harm();
      const { outcome } = await run(service, script('print(1)'));
      assert.ok(outcome?.kind === 'platform-error', JSON.stringify(outcome));
      assert.equal(outcome.code, 'image-corrupted');
      for (const part of [store.digest, words]) assert.ok(outcome.message.includes(part), outcome.message);
    }
    assert.equal(runtime.launches, 0);
    assert.match((await verify(service)).stderr, /its tree is missing/);
    await importAgain(store);
    await assertWorks(service);
    assert.equal((await verify(service)).status, 0);
  });

  it('with a content that keeps its size and time is found by verification', async () => {
    using store = await createOwnStore();
    const path = store.inTree(module);
    const { atime, mtime } = statSync(path);
    replace(path, flipLastByte);
    utimesSync(path, atime, mtime);
    await using service = await startServiceProcess({ settings: { SLIPWAY_IMAGES_DIR: store.root } });
    const { status, stderr } = await verify(service);
    assert.equal(status, 1);
    assert.match(stderr, /json\/__init__.py" has changed\. Build or import it again/);
  });

  it('with a changed blob is found by verification; its tree is whole and runs', async () => {
    using store = await createOwnStore();
    replace(store.blob(store.layer), flipLastByte);
    await using service = await startServiceProcess({ settings: { SLIPWAY_IMAGES_DIR: store.root } });
    await assertWorks(service);
    const { status, stderr } = await verify(service);
    assert.equal(status, 1);
    assert.ok(stderr.includes(store.layer), stderr);
  });
});

/** From the blobs, as an OCI layout. */
async function importAgain({ root, directory, digest, blob }: OwnStore): Promise<void> {
  const layout = join(directory, 'layout');
  mkdirSync(layout);
  execFileSync('cp', ['-al', join(root, 'blobs'), join(layout, 'blobs')]);
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const manifests = [{ mediaType, digest, size: statSync(blob(digest)).size }];
  writeFileSync(join(layout, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }));
  writeFileSync(join(layout, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  const image = await createImageStore({ root }).import({ kind: 'oci-layout', path: layout }, 'python');
  assert.equal(image.digest, digest);
}
