import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { assertFails } from '../../tests/support/assert-fails.ts';
import { makeTar, type TarEntry, writeOciLayout } from '../../tests/support/tar.ts';
import { createTemporaryDirectory } from '../../tests/support/temporary-directory.ts';
import { digestOf } from '../base/digest.ts';
import { imageLabels } from '../model/image.ts';
import { createImageStore, type ImageStore } from './image-store.ts';
import { defaultUnpackLimits } from './unpack/unpack-limits.ts';

const tree: TarEntry[] = [
  { name: 'bin/sh', content: '#!', mode: 0o755 },
  { name: 'etc/passwd', content: 'root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n' },
  { name: 'etc/motd', content: 'hello' },
];

interface Bench extends Disposable {
  readonly root: string;
  readonly store: ImageStore;
  readonly at: (name: string) => string;
  /** Imports layers with a config as `name`. */
  readonly add: (
    name: string,
    layers: readonly TarEntry[][],
    config?: object,
  ) => ReturnType<ImageStore['import']>;
}

function bench(): Bench {
  const directory = createTemporaryDirectory();
  const at = (name: string) => join(directory.path, name);
  const root = at('images');
  const store = createImageStore({ root });
  let layouts = 0;
  return {
    root,
    store,
    at,
    async add(name, layers, config = {}) {
      layouts += 1;
      const path = at(`layout-${layouts}`);
      await writeOciLayout(path, await Promise.all(layers.map((layer) => makeTar(layer))), { config });
      return store.import({ kind: 'oci-layout', path }, name);
    },
    [Symbol.dispose]: () => directory[Symbol.dispose](),
  };
}

interface Contents {
  readonly blobs: string[];
  readonly unpacked: string[];
  readonly names: string[];
  readonly scratch: string[];
}

const empty: Contents = { blobs: [], unpacked: [], names: [], scratch: [] };

/** What a store holds, to see that a refusal left nothing. */
function contents(root: string): Contents {
  const [blobs = [], unpacked = [], names = [], scratch = []] = [
    'blobs/sha256',
    'unpacked',
    'names',
    'scratch',
  ].map((name) => readdirSync(join(root, name)));
  return { blobs, unpacked, names, scratch };
}

describe('import', () => {
  it('unpacks an OCI layout and knows what a starter needs', async () => {
    using b = bench();
    const labels = {
      [imageLabels.runner]: '["/usr/bin/python3","-I","/r"]',
      [imageLabels.runnerPreload]: 'pandas',
      [imageLabels.notes]: 'one\ntwo\u001b[31m',
    };
    const config = {
      User: 'app',
      Env: ['A=1=2', 'odd'],
      Cmd: ['sh'],
      WorkingDir: '/srv/app',
      Labels: labels,
    };
    const packages = JSON.stringify([{ name: 'left-pad', version: '1', source: 'pypi' }]);
    const lists: TarEntry[] = [{ name: 'usr/lib/slipway/packages.json', content: packages }];
    const image = await b.add('team/tools:1', [tree, lists, [{ name: 'etc/.wh.motd' }]], config);
    assert.deepEqual(image.names, ['team/tools:1']);
    assert.deepEqual(image.user, { uid: 1000, gid: 1000, name: 'app', home: '/home/app' });
    assert.deepEqual(image.env, { A: '1=2' });
    assert.deepEqual([image.workdir, image.cmd, image.entrypoint], ['/srv/app', ['sh'], []]);
    assert.deepEqual(image.runner, {
      protocol: 1,
      argv: ['/usr/bin/python3', '-I', '/r'],
      preload: ['pandas'],
    });
    assert.deepEqual(image.notes, ['one', 'two[31m']);
    assert.deepEqual(image.packages, [{ name: 'left-pad', version: '1', source: 'pypi' }]);
    assert.equal(image.hasShell, true);
    const rootfs = await b.store.rootfs(image);
    assert.deepEqual(readdirSync(join(rootfs, 'etc')), ['passwd']);
    for (const mountPoint of [
      'proc',
      'sys',
      'dev',
      'tmp',
      'run',
      'data',
      'work',
      'code',
      'home/slipway',
      'home/app',
    ]) {
      assert.ok(lstatSync(join(rootfs, mountPoint)).isDirectory(), mountPoint);
    }
    assert.ok(lstatSync(join(rootfs, 'srv/app')).isDirectory());
    assert.equal(statSync(b.root).mode & 0o777, 0o700);
  });

  it('is idempotent, and moves a name that was taken', async () => {
    using b = bench();
    const first = await b.add('one', [tree]);
    const again = await b.add('one', [tree]);
    assert.deepEqual(again, first);
    const other = await b.add('one', [[{ name: 'other', content: '' }]]);
    assert.deepEqual((await b.store.resolve('one')).digest, other.digest);
    assert.deepEqual(
      (await b.store.list()).map((image) => image.names),
      [['one'], []],
    );
  });

  it('takes a tar of a file system, plain or compressed, and gives it the same digest each time', async () => {
    using b = bench();
    const tar = await makeTar(tree);
    writeFileSync(b.at('tree.tar'), tar);
    writeFileSync(b.at('tree.tgz'), gzipSync(tar));
    const config = { env: { A: 'b' }, user: '1000:1000', cmd: ['sh'], labels: { x: 'y' } };
    const image = await b.store.import({ kind: 'rootfs', path: b.at('tree.tar'), config }, 'plain');
    const again = await b.store.import({ kind: 'rootfs', path: b.at('tree.tar'), config }, 'again');
    const zipped = await b.store.import({ kind: 'rootfs', path: b.at('tree.tgz') }, 'zipped');
    assert.deepEqual(again.names, ['again', 'plain']);
    assert.deepEqual([image.env, image.cmd, image.user.uid], [{ A: 'b' }, ['sh'], 1000]);
    assert.equal(zipped.user.uid, 65532);
    await b.store.verify(zipped);
  });

  it('takes what docker save writes, with layers that are links to each other', async () => {
    using b = bench();
    const layer = await makeTar(tree);
    await writeOciLayout(b.at('layout'), [layer], { config: { User: '1000' } });
    const blobs = readdirSync(b.at('layout/blobs/sha256')).map((name) =>
      readFileSync(b.at(`layout/blobs/sha256/${name}`)),
    );
    const config = blobs.find((blob) => blob.includes('diff_ids'))?.toString() ?? '';
    const archive = await makeTar([
      { name: 'config.json', content: config },
      { name: 'first/layer.tar', content: layer },
      { name: 'second/layer.tar', type: 'symlink', linkname: '../first/layer.tar' },
      {
        name: 'manifest.json',
        content: JSON.stringify([{ Config: 'config.json', Layers: ['second/layer.tar'], RepoTags: null }]),
      },
    ]);
    writeFileSync(b.at('saved.tar'), archive);
    const image = await b.store.import({ kind: 'docker-archive', path: b.at('saved.tar') }, 'saved');
    assert.equal(image.user.uid, 1000);
    assert.equal(readFileSync(join(await b.store.rootfs(image), 'etc/motd'), 'utf8'), 'hello');
  });

  it('takes the part of an archive that is not in it for what it is', async () => {
    using b = bench();
    const manifest = JSON.stringify([{ Config: '../../../etc/passwd', Layers: [], RepoTags: [] }]);
    writeFileSync(b.at('saved.tar'), await makeTar([{ name: 'manifest.json', content: manifest }]));
    await assert.rejects(b.store.import({ kind: 'docker-archive', path: b.at('saved.tar') }, 'saved'));
    assert.deepEqual(await b.store.list(), []);
  });
});

describe('a refused image', () => {
  const refused: [string, TarEntry[], object][] = [
    ['/dev as a link', [{ name: 'dev', type: 'symlink', linkname: 'tmp' }], {}],
    ['/proc as a link', [{ name: 'proc', type: 'symlink', linkname: '/sys' }], {}],
    ['/tmp as a link', [{ name: 'tmp', type: 'symlink', linkname: '/var' }], {}],
    ['/work as a file', [{ name: 'work', content: '' }], {}],
    ['/home as a link', [{ name: 'home', type: 'symlink', linkname: 'etc' }], {}],
    ['WORKDIR in /proc', [], { WorkingDir: '/proc/self/fd/7' }],
    [
      'WORKDIR through a link into /proc',
      [{ name: 'w', type: 'symlink', linkname: '/proc/self/fd' }],
      { WorkingDir: '/w/7' },
    ],
    ['a relative WORKDIR', [], { WorkingDir: 'srv' }],
    ['a device', [{ name: 'mem', type: 'character-device', devmajor: 1, devminor: 1 }], {}],
  ];
  for (const [what, entries, config] of refused) {
    it(`because of ${what} leaves nothing, and its good twin is accepted`, async () => {
      using b = bench();
      await assertFails(b.add('bad', [tree, entries], config), 'image-refused');
      assert.deepEqual(contents(b.root), empty);
      await b.add('good', [tree], { WorkingDir: '/srv' });
    });
  }

  it('because of its labels or its user says so', async () => {
    using b = bench();
    await assertFails(b.add('bad', [tree], { User: 'nobody-here' }), 'image-user-unknown');
    for (const label of ['python3', '["relative"]', '[]', '["/x",1]']) {
      await assertFails(
        b.add('bad', [tree], { Labels: { [imageLabels.runner]: label } }),
        'image-runner-label',
      );
    }
    assert.deepEqual(contents(b.root).unpacked, []);
  });

  it('because of its size leaves nothing', async () => {
    using b = bench();
    const path = b.at('layout');
    await writeOciLayout(path, [await makeTar(tree)]);
    const store = createImageStore({ root: b.root, limits: { ...defaultUnpackLimits, maxEntries: 2 } });
    await assertFails(store.import({ kind: 'oci-layout', path }, 'big'), 'image-too-large');
    assert.deepEqual(contents(b.root), empty);
  });

  it('because a layer is not what the config says names the digest', async () => {
    using b = bench();
    const layout = b.at('layout');
    const wrong = `sha256:${'0'.repeat(64)}`;
    await writeOciLayout(layout, [await makeTar(tree)], { diffIds: [wrong] });
    const error = await assertFails(
      b.store.import({ kind: 'oci-layout', path: layout }, 'bad'),
      'image-corrupted',
    );
    assert.match(error.message, new RegExp(wrong));
    assert.deepEqual(contents(b.root), empty);
  });

  it('because a layer is not what the manifest says names the blob', async () => {
    using b = bench();
    const layout = b.at('layout');
    // Gzipped, so that only the digest of the compressed blob changes with what is appended.
    const layer = gzipSync(await makeTar(tree));
    await writeOciLayout(layout, [layer], { diffIds: [digestOf(await makeTar(tree))] });
    const blobs = join(layout, 'blobs/sha256');
    const hex = readdirSync(blobs).find((name) => statSync(join(blobs, name)).size === layer.length) ?? '';
    appendFileSync(join(blobs, hex), Buffer.alloc(512));
    const error = await assertFails(
      b.store.import({ kind: 'oci-layout', path: layout }, 'bad'),
      'image-corrupted',
    );
    assert.match(error.message, new RegExp(`blob sha256:${hex} has the digest`));
    assert.deepEqual(contents(b.root), empty);
  });

  it('because a document is not one is refused in words', async () => {
    using b = bench();
    for (const index of [
      '',
      '{}',
      '{"manifests":[]}',
      '{"manifests":[{"digest":"sha256:../../x","size":1}]}',
      '[1',
    ]) {
      await writeOciLayout(b.at('layout'), []);
      writeFileSync(b.at('layout/index.json'), index);
      await assertFails(
        b.store.import({ kind: 'oci-layout', path: b.at('layout') }, 'bad'),
        'image-unreadable',
      );
    }
    await assertFails(
      b.store.import({ kind: 'oci-layout', path: b.at('layout') }, 'Bad Name'),
      'bad-image-name',
    );
  });
});

describe('verify', () => {
  it('finds a changed or missing blob and names it', async () => {
    using b = bench();
    const image = await b.add('one', [tree]);
    await b.store.verify(image);
    const blobs = join(b.root, 'blobs/sha256');
    for (const hex of readdirSync(blobs)) {
      const content = readFileSync(join(blobs, hex));
      const changed = Buffer.from(content);
      changed.writeUInt8(content.readUInt8(content.length - 1) ^ 1, content.length - 1);
      for (const spoil of [() => writeFileSync(join(blobs, hex), changed), () => rmSync(join(blobs, hex))]) {
        spoil();
        const error = await assertFails(b.store.verify(image), 'image-corrupted');
        assert.match(error.message, new RegExp(hex));
      }
      writeFileSync(join(blobs, hex), content);
    }
    await b.store.verify(image);
  });

  it('finds damage in the tree, also before its first use, and an import of the same image mends it', async () => {
    using b = bench();
    const layers = [tree];
    const image = await b.add('one', layers);
    const file = join(await b.store.rootfs(image), 'etc/motd');
    const damages = [
      () => appendFileSync(file, '!'),
      () => rmSync(file),
      () => rmSync(join(file, '../..'), force),
    ];
    for (const harm of damages) {
      harm();
      for (const use of [
        () => createImageStore({ root: b.root }).rootfs(image),
        () => b.store.verify(image, 'quick'),
      ]) {
        const error = await assertFails(use(), 'image-corrupted');
        assert.match(
          error.message,
          /sha256:.* is corrupted: ("\/etc\/motd" |its tree is missing).*import it again/,
        );
      }
      assert.equal((await b.add('one', layers)).digest, image.digest);
      assert.equal(readFileSync(join(await b.store.rootfs(image), 'etc/motd'), 'utf8'), 'hello');
      await b.store.verify(image);
    }
    assert.deepEqual(contents(b.root).scratch, []);
  });

  it('finds a description that is damaged, and an import mends it', async () => {
    using b = bench();
    const image = await b.add('one', [tree]);
    writeFileSync(join(b.root, 'unpacked', image.digest.slice('sha256:'.length), 'image.json'), '{');
    await assertFails(b.store.rootfs(image), 'image-corrupted');
    const other = await b.add('two', [[{ name: 'b', content: 'other' }]]);
    assert.deepEqual(
      (await b.store.list()).map(({ digest }) => digest),
      [other.digest],
      'one bad file does not hide the others',
    );
    assert.match((await b.store.damages()).join(), /^The image one is damaged/);
    await b.add('one', [tree]);
    await b.store.verify(await b.store.resolve('one'));
    assert.deepEqual(await b.store.damages(), []);
  });
});

const force = { recursive: true, force: true } as const;

describe('names', () => {
  it('resolve in every form that people write', async () => {
    using b = bench();
    const image = await b.add('docker.io/library/python:3.11-slim', [tree]);
    const digits = image.digest.slice(7);
    for (const reference of [
      'python:3.11-slim',
      'library/python:3.11-slim',
      image.digest,
      digits,
      digits.slice(0, 12),
    ]) {
      assert.equal((await b.store.resolve(reference)).digest, image.digest, reference);
    }
    await b.store.tag('python:latest', image.digest);
    assert.deepEqual((await b.store.resolve('python')).names, ['python', 'python:3.11-slim']);
    for (const reference of ['pytho', digits.slice(0, 11), '../names/python', '', 'sha256:']) {
      const error = await assertFails(b.store.resolve(reference), 'image-not-found');
      assert.match(error.message, /python, python:3.11-slim/);
    }
  });

  it('removed one by one keep the image until the last', async () => {
    using b = bench();
    const image = await b.add('one', [tree]);
    const other = await b.add('other', [tree, [{ name: 'more', content: 'more' }]]);
    await b.store.tag('two', image.digest);
    await b.store.remove('one');
    assert.deepEqual((await b.store.resolve('two')).names, ['two']);
    await b.store.remove('two');
    await assertFails(b.store.resolve(image.digest), 'image-not-found');
    await assertFails(b.store.rootfs(image), 'image-not-found');
    // The layer that both had is still there for the other.
    await b.store.verify(other);
    await b.store.remove(other.digest);
    assert.deepEqual(contents(b.root), empty);
  });
});

describe('several processes', () => {
  const storeModule = join(import.meta.dirname, 'image-store.ts');

  interface Importer {
    readonly kill: () => void;
    /** Its exit status, or the signal that ended it. */
    readonly exit: Promise<number | string>;
    /** Settles when it says that it is in the middle; rejects when it ends before. */
    readonly unpacking: Promise<void>;
  }

  /** Imports in another process, which stays in the middle for ever if asked. */
  function importElsewhere(
    root: string,
    path: string,
    { name, stay = false }: { name: string; stay?: boolean },
  ): Importer {
    const script = `
      import { writeSync } from 'node:fs';
      const { createImageStore } = await import(${JSON.stringify(storeModule)});
      const store = createImageStore({ root: ${JSON.stringify(root)} });
      const source = { kind: 'oci-layout', path: ${JSON.stringify(path)} };
      const progress = (line) => {
        if (!line.startsWith('unpacking')) return;
        writeSync(1, line);
        if (${stay}) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
      };
      await store.import(source, ${JSON.stringify(name)}, { progress });
    `;
    const args = ['--input-type=module', '--eval', script];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const exit = once(child, 'exit').then(([code, signal]) => code ?? signal);
    const unpacking = Promise.race([
      once(child.stdout, 'data').then(() => undefined),
      exit.then((status) => assert.fail(`the importer ended with ${status}`)),
    ]);
    unpacking.catch(() => undefined);
    return { kill: () => void child.kill('SIGKILL'), exit, unpacking };
  }

  it('may import the same image at once', async () => {
    using b = bench();
    await writeOciLayout(b.at('layout'), [await makeTar([...tree, ...manyFiles(300)])]);
    const children = ['a', 'b', 'c', 'd'].map((name) => importElsewhere(b.root, b.at('layout'), { name }));
    const exits = await Promise.all(children.map((child) => child.exit));
    assert.deepEqual(exits, [0, 0, 0, 0]);
    const images = await b.store.list();
    assert.deepEqual(
      images.map((image) => image.names),
      [['a', 'b', 'c', 'd']],
    );
    for (const image of images) await b.store.verify(image);
    assert.deepEqual(contents(b.root).scratch, []);
  });

  it('leave nothing that the next import does not sweep when one is killed', async () => {
    using b = bench();
    await writeOciLayout(b.at('layout'), [await makeTar(manyFiles(4000))]);
    const child = importElsewhere(b.root, b.at('layout'), { name: 'killed', stay: true });
    await child.unpacking;
    child.kill();
    assert.equal(await child.exit, 'SIGKILL');
    assert.deepEqual(await b.store.list(), []);
    assert.equal(contents(b.root).scratch.length, 1);
    await b.add('next', [tree]);
    assert.deepEqual(contents(b.root).scratch, []);
    assert.deepEqual(
      (await b.store.list()).map((image) => image.names),
      [['next']],
    );
  });

  it('do not sweep what another process is still working on', async () => {
    using b = bench();
    await b.add('first', [tree]);
    const alive = join(b.root, 'scratch', `${process.ppid}.${startOf(process.ppid)}.abcdef12`);
    const dead = join(b.root, 'scratch', `${process.ppid}.1.abcdef12`);
    for (const path of [alive, dead]) mkdirSync(path);
    await b.add('second', [[{ name: 'x', content: '' }]]);
    assert.deepEqual([existsSync(alive), existsSync(dead)], [true, false]);
  });
});

function manyFiles(count: number): TarEntry[] {
  return Array.from({ length: count }, (_, i) => ({ name: `files/${i}`, content: 'x'.repeat(2000) }));
}

function startOf(pid: number): string {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
}
