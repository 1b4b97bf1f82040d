import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { assertFails } from '../../tests/support/assert-fails.ts';
import { makeTar, writeOciLayout } from '../../tests/support/tar.ts';
import { createTemporaryDirectory } from '../../tests/support/temporary-directory.ts';
import { digestOf } from '../base/digest.ts';
import { exportImage } from './export-image.ts';
import { detectSource } from './formats/detect-source.ts';
import { createImageStore } from './image-store.ts';

async function bench() {
  const directory = createTemporaryDirectory();
  const at = (name: string) => join(directory.path, name);
  const store = createImageStore({ root: at('images') });
  const layers = await Promise.all(
    ['one', 'two'].map(async (name) => gzipSync(await makeTar([{ name, content: name }]))),
  );
  const plain = await Promise.all(['one', 'two'].map((name) => makeTar([{ name, content: name }])));
  const diffIds = plain.map((tar) => digestOf(tar));
  await writeOciLayout(at('layout'), layers, { diffIds, config: { User: '1000', Cmd: ['x'] } });
  const image = await store.import({ kind: 'oci-layout', path: at('layout') }, 'team/tool:1');
  await store.tag('tool', image.digest);
  return { at, store, image, [Symbol.dispose]: () => directory[Symbol.dispose]() };
}

describe('exportImage', () => {
  it('gives every store the same image, in every form', async () => {
    using b = await bench();
    const forms = {
      'layout-out': 'oci',
      'out.tar': 'oci',
      'docker.tar': 'docker',
      docker: 'docker',
    } as const;
    for (const [name, format] of Object.entries(forms)) {
      await exportImage(b.store, { image: 'tool', target: b.at(name), format });
      const other = createImageStore({ root: b.at(`images-${name}`) });
      const imported = await other.import(await detectSource(b.at(name)), 'again');
      assert.deepEqual(imported, { ...b.image, names: ['again'] }, name);
      await other.verify(imported);
    }
    assert.deepEqual(
      readdirSync(join(b.at('images'), '..')).filter((name) => name.endsWith('.part')),
      [],
    );
    assert.ok(readFileSync(b.at('out.tar')).length > 0);
  });

  it('is what other tools read, with its names', async () => {
    using b = await bench();
    await exportImage(b.store, { image: 'tool', target: b.at('docker.tar'), format: 'docker' });
    await exportImage(b.store, { image: 'tool', target: b.at('oci') });
    const inspect = (name: string) =>
      JSON.parse(execFileSync('skopeo', ['inspect', '--config', name], { encoding: 'utf8' }));
    assert.equal(inspect(`docker-archive:${b.at('docker.tar')}:team/tool:1`).config.User, '1000');
    assert.equal(inspect(`docker-archive:${b.at('docker.tar')}:tool:latest`).config.User, '1000');
    assert.equal(inspect(`oci:${b.at('oci')}`).config.User, '1000');
    const raw = execFileSync('skopeo', ['inspect', '--raw', `oci:${b.at('oci')}`]);
    assert.equal(digestOf(raw), b.image.digest);
  });

  it('overwrites nothing, and leaves nothing when it fails', async () => {
    using b = await bench();
    const target = b.at('there');
    mkdirSync(target);
    await exportImage(b.store, { image: 'tool', target });
    await assertFails(exportImage(b.store, { image: 'tool', target }), 'export-exists');
    writeFileSync(b.at('file.tar'), 'mine');
    await assertFails(exportImage(b.store, { image: 'tool', target: b.at('file.tar') }), 'export-exists');
    assert.equal(readFileSync(b.at('file.tar'), 'utf8'), 'mine');
    const lost = b.at('no/such/place.tar');
    await assertFails(exportImage(b.store, { image: 'tool', target: lost }), 'export-failed');
    await assertFails(exportImage(b.store, { image: 'none', target: b.at('x') }), 'image-not-found');
    const stopped = exportImage(b.store, {
      image: 'tool',
      target: b.at('x.tar'),
      signal: AbortSignal.abort(),
    });
    await assertFails(stopped, 'export-cancelled');
    const stop = new AbortController();
    const progress = (line: string) => line.startsWith('writing') && setImmediate(() => stop.abort());
    const midway = { image: 'tool', target: b.at('x.tar'), signal: stop.signal, progress };
    await assertFails(exportImage(b.store, midway), 'export-cancelled');
    const { layers } = JSON.parse(readFileSync(b.store.blob(b.image.digest), 'utf8'));
    writeFileSync(b.store.blob(layers[0].digest), 'changed');
    await assertFails(exportImage(b.store, { image: 'tool', target: b.at('y') }), 'image-corrupted');
    for (const name of ['x', 'x.tar', 'y']) assert.equal(existsSync(b.at(name)), false, name);
    assert.deepEqual(
      readdirSync(b.at('.')).filter((name) => name.endsWith('.part')),
      [],
    );
  });
});

describe('what holds several images', () => {
  it('needs a choice: an archive of docker save, packed or not', async () => {
    using b = await bench();
    const folder = b.at('saved');
    mkdirSync(folder);
    const images = [];
    for (const name of ['red', 'blue']) {
      const layer = await makeTar([{ name, content: name }]);
      writeFileSync(join(folder, `${name}.tar`), layer);
      const rootfs = { type: 'layers', diff_ids: [digestOf(layer)] };
      const config = { architecture: 'amd64', os: 'linux', config: { Labels: { name } }, rootfs };
      writeFileSync(join(folder, `${name}.json`), JSON.stringify(config));
      images.push({ Config: `${name}.json`, RepoTags: [`paint/${name}:latest`], Layers: [`${name}.tar`] });
    }
    writeFileSync(join(folder, 'manifest.json'), JSON.stringify(images));
    execFileSync('tar', ['-C', folder, '-cf', b.at('saved.tar'), '.']);
    for (const path of [folder, b.at('saved.tar')]) {
      const source = await detectSource(path);
      assert.equal(source.kind, 'docker-archive');
      const chosen = await b.store.import({ ...source, select: 'paint/blue' }, 'chosen');
      assert.equal(chosen.labels['name'], 'blue');
      const error = await assertFails(b.store.import(source, 'x'), 'image-choice');
      assert.match(error.message, /"paint\/red:latest", "paint\/blue:latest"\. Name one by --select/);
      await assertFails(b.store.import({ ...source, select: 'paint/green' }, 'x'), 'image-choice');
    }
  });

  it('needs a choice: a layout, by name, digest or platform', async () => {
    using b = await bench();
    const manifests: Record<string, unknown>[] = [];
    for (const [name, architecture] of [
      ['a', 'amd64'],
      ['b', 'arm64'],
    ] as const) {
      const digest = await writeOciLayout(b.at(name), [await makeTar([{ name, content: name }])], {
        architecture,
      });
      for (const file of readdirSync(b.at(`${name}/blobs/sha256`))) {
        mkdirSync(b.at('several/blobs/sha256'), { recursive: true });
        copyFileSync(b.at(`${name}/blobs/sha256/${file}`), b.at(`several/blobs/sha256/${file}`));
      }
      const [entry] = JSON.parse(readFileSync(b.at(`${name}/index.json`), 'utf8')).manifests;
      manifests.push({
        ...entry,
        digest,
        annotations: { 'org.opencontainers.image.ref.name': `tool:${name}` },
      });
    }
    const write = (more: object[]) => {
      const all = manifests.map((manifest, i) => ({ ...manifest, ...more[i] }));
      writeFileSync(b.at('several/index.json'), JSON.stringify({ schemaVersion: 2, manifests: all }));
    };
    const source = { kind: 'oci-layout', path: b.at('several') } as const;
    write([]);
    assert.match(
      (await assertFails(b.store.import(source, 'x'), 'image-choice')).message,
      /"tool:a", "tool:b"/,
    );
    const digests = manifests.map(({ digest }) => String(digest));
    const import_ = async (choice: object) => (await b.store.import({ ...source, ...choice }, 'x')).digest;
    assert.equal(await import_({ select: 'tool:b' }), digests[1]);
    assert.equal(await import_({ select: digests[0] }), digests[0]);
    const platform = (architecture: string) => ({ platform: { os: 'linux', architecture } });
    write([platform('amd64'), platform('arm64')]);
    assert.equal(await import_({}), digests[process.arch === 'x64' ? 0 : 1]);
    assert.equal(await import_({ platform: { architecture: 'arm64' } }), digests[1]);
    const missing = b.store.import({ ...source, platform: { architecture: 'riscv64' } }, 'x');
    assert.match(
      (await assertFails(missing, 'image-platform-missing')).message,
      /linux\/amd64, linux\/arm64/,
    );
    write([platform('amd64'), platform('amd64')]);
    await assertFails(
      b.store.import({ ...source, platform: { architecture: 'amd64' } }, 'x'),
      'image-choice',
    );
  });
});
