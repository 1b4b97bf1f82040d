import assert from 'node:assert/strict';
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { makeTar, type TarEntry } from '../../../tests/support/tar.ts';
import { createTemporaryDirectory } from '../../../tests/support/temporary-directory.ts';
import { digestOf } from '../../base/digest.ts';
import { isSlipwayError } from '../../base/errors.ts';
import { applyLayer } from './apply-layer.ts';
import { defaultUnpackLimits, UnpackBudget, type UnpackLimits } from './unpack-limits.ts';

interface Bench extends Disposable {
  /** The image's root. */
  readonly root: string;
  readonly at: (path: string) => string;
  readonly apply: (entries: readonly TarEntry[]) => Promise<void>;
  readonly applyBytes: (layer: Uint8Array, limits?: Partial<UnpackLimits>) => Promise<unknown>;
  /** Everything beside the root, to see whether something got out. */
  readonly outside: () => string[];
}

function bench(): Bench {
  const directory = createTemporaryDirectory();
  const root = join(directory.path, 'cage', 'root');
  mkdirSync(root, { recursive: true });
  writeFileSync(join(directory.path, 'cage', 'secret'), 'secret');
  const applyBytes = async (layer: Uint8Array, limits: Partial<UnpackLimits> = {}) => {
    const path = join(directory.path, 'layer');
    writeFileSync(path, layer);
    return applyLayer(path, { root, budget: new UnpackBudget({ ...defaultUnpackLimits, ...limits }) });
  };
  return {
    root,
    at: (path) => join(root, path),
    applyBytes,
    apply: async (entries) => void (await applyBytes(await makeTar(entries))),
    outside: () => [...readdirSync(directory.path), ...readdirSync(join(directory.path, 'cage'))].sort(),
    [Symbol.dispose]: () => directory[Symbol.dispose](),
  };
}

const nothingOutside = ['cage', 'layer', 'root', 'secret'];

describe('applyLayer', () => {
  it('makes what the entries say: content, modes, times, owners, links', async () => {
    using b = bench();
    await b.apply([
      { name: './', type: 'directory', mode: 0o755 },
      { name: './dir/', type: 'directory', mode: 0o750, mtime: new Date(1_500_000_000_000), uid: 7, gid: 8 },
      { name: './dir/tool', content: 'tool', mode: 0o4755, uid: 1000, gid: 1001 },
      { name: './dir/link', type: 'symlink', linkname: '/etc/passwd' },
      { name: './dir/same', type: 'link', linkname: 'dir/tool' },
    ]);
    const tool = statSync(b.at('dir/tool'));
    assert.equal(readFileSync(b.at('dir/tool'), 'utf8'), 'tool');
    assert.equal(tool.mode & 0o7777, 0o4755);
    assert.equal(tool.mtimeMs, 1_000_000_000_000);
    assert.equal(statSync(b.at('dir/same')).ino, tool.ino);
    assert.equal(readlinkSync(b.at('dir/link')), '/etc/passwd');
    const dir = statSync(b.at('dir'));
    assert.deepEqual([dir.mode & 0o7777, dir.mtimeMs], [0o750, 1_500_000_000_000]);
    const keepsOwners = process.geteuid?.() === 0;
    assert.deepEqual(
      [tool.uid, tool.gid, dir.uid],
      keepsOwners ? [1000, 1001, 7] : [dir.uid, tool.gid, tool.uid],
    );
  });

  it('reads gzip and zstd, and reports the digest of the tar inside', async () => {
    const tar = await makeTar([{ name: 'file', content: 'x'.repeat(10_000) }]);
    for (const layer of [tar, gzipSync(tar), zstdCompressSync(tar)]) {
      using b = bench();
      const applied = { diffId: digestOf(tar), ignoredXattrs: 0, lookAlikes: 0, lossyNames: 0 };
      assert.deepEqual(await b.applyBytes(layer), applied);
      assert.equal(statSync(b.at('file')).size, 10_000);
    }
  });

  it('takes long names, and names with control characters', async () => {
    using b = bench();
    const long = `${'deep/'.repeat(40)}${'n'.repeat(200)}`;
    const odd = 'new\nline\u001b[31m\t';
    await b.apply([
      { name: long, content: 'long' },
      { name: odd, content: 'odd' },
    ]);
    assert.equal(readFileSync(b.at(long), 'utf8'), 'long');
    assert.equal(readFileSync(b.at(odd), 'utf8'), 'odd');
  });

  it('replaces what lower layers have, never writing through it', async () => {
    using b = bench();
    await b.apply([
      { name: 'a', content: 'old' },
      { name: 'b', type: 'link', linkname: 'a' },
      { name: 'link', type: 'symlink', linkname: '../secret' },
      { name: 'dir/inner', content: 'inner' },
      { name: 'kept/inner', content: 'inner' },
    ]);
    await b.apply([
      { name: 'a', content: 'new' },
      { name: 'link', content: 'a file now' },
      { name: 'dir', content: 'a file now' },
      { name: 'kept', type: 'directory', mode: 0o700 },
    ]);
    assert.equal(readFileSync(b.at('b'), 'utf8'), 'old');
    assert.equal(readFileSync(join(b.root, '..', 'secret'), 'utf8'), 'secret');
    assert.ok(lstatSync(b.at('link')).isFile());
    assert.ok(lstatSync(b.at('dir')).isFile());
    assert.equal(readFileSync(b.at('kept/inner'), 'utf8'), 'inner');
  });

  it('follows a parent that is a link inside the root only', async () => {
    using b = bench();
    await b.apply([
      { name: 'usr/bin/', type: 'directory' },
      { name: 'bin', type: 'symlink', linkname: 'usr/bin' },
      { name: 'bin/sh', content: 'sh' },
      { name: 'up', type: 'symlink', linkname: '../../../../../..' },
      { name: 'up/got-out', content: 'no' },
      { name: 'abs', type: 'symlink', linkname: b.root.replace(/\/root$/, '') },
      { name: 'abs/got-out-too', content: 'no' },
    ]);
    assert.equal(readFileSync(b.at('usr/bin/sh'), 'utf8'), 'sh');
    assert.equal(readFileSync(b.at('got-out'), 'utf8'), 'no');
    assert.deepEqual(b.outside(), nothingOutside);
  });
});

describe('whiteouts', () => {
  const lower: TarEntry[] = [
    { name: 'dir/a', content: 'a' },
    { name: 'dir/b/c', content: 'c' },
    { name: 'file', content: 'file' },
  ];

  it('remove files and directories of lower layers', async () => {
    using b = bench();
    await b.apply(lower);
    await b.apply([{ name: 'dir/.wh.b' }, { name: '.wh.file' }, { name: '.wh.never-there' }]);
    assert.deepEqual(readdirSync(b.root), ['dir']);
    assert.deepEqual(readdirSync(b.at('dir')), ['a']);
  });

  it('make a directory opaque, whatever the order of its entries', async () => {
    const opaque = { name: 'dir/.wh..wh..opq' };
    const fresh = { name: 'dir/b/new', content: 'new' };
    for (const entries of [
      [opaque, fresh],
      [fresh, opaque],
    ]) {
      using b = bench();
      await b.apply(lower);
      await b.apply(entries);
      assert.deepEqual(readdirSync(b.at('dir')), ['b']);
      assert.deepEqual(readdirSync(b.at('dir/b')), ['new']);
    }
  });

  it('do not hide what their own layer brings', async () => {
    using b = bench();
    await b.apply(lower);
    await b.apply([{ name: 'file', content: 'new' }, { name: '.wh.file' }]);
    assert.equal(readFileSync(b.at('file'), 'utf8'), 'new');
  });

  it('of overlay file systems (device 0/0) work too', async () => {
    using b = bench();
    await b.apply(lower);
    await b.apply([{ name: 'file', type: 'character-device', devmajor: 0, devminor: 0 }]);
    assert.deepEqual(readdirSync(b.root), ['dir']);
  });

  it('through a link remove inside the root only', async () => {
    using b = bench();
    await b.apply([
      { name: 'up', type: 'symlink', linkname: '..' },
      { name: 'secret', content: 'inside' },
    ]);
    await b.apply([{ name: 'up/.wh.secret' }]);
    assert.deepEqual(readdirSync(b.root), ['up']);
    assert.deepEqual(b.outside(), nothingOutside);
  });
});

describe('hostile layers', () => {
  interface Case {
    readonly what: string;
    readonly bad: TarEntry[];
    /** Differs in the one thing that is refused. */
    readonly good: TarEntry[];
    readonly reason: RegExp;
  }

  const cases: Case[] = [
    {
      what: 'an absolute name',
      bad: [{ name: '/etc/evil', content: 'x' }],
      good: [{ name: 'etc/evil', content: 'x' }],
      reason: /"\/etc\/evil": its name is absolute/,
    },
    {
      what: 'a name that leaves the root',
      bad: [{ name: 'a/../../got-out', content: 'x' }],
      good: [{ name: 'a/../got-out', content: 'x' }],
      reason: /leaves the root/,
    },
    {
      what: 'a hard link that leaves the root',
      bad: [{ name: 'link', type: 'link', linkname: '../secret' }],
      good: [
        { name: 'secret', content: 'x' },
        { name: 'link', type: 'link', linkname: 'secret' },
      ],
      reason: /hard link that leaves the root/,
    },
    {
      what: 'an absolute hard link',
      bad: [{ name: 'link', type: 'link', linkname: '/etc/passwd' }],
      good: [
        { name: 'etc/passwd', content: 'x' },
        { name: 'link', type: 'link', linkname: 'etc/passwd' },
      ],
      reason: /hard link that leaves the root/,
    },
    {
      what: 'a hard link through a link that leads out',
      bad: [
        { name: 'up', type: 'symlink', linkname: '..' },
        { name: 'link', type: 'link', linkname: 'up/secret' },
      ],
      good: [
        { name: 'up', type: 'symlink', linkname: '..' },
        { name: 'secret', content: 'ours' },
        { name: 'link', type: 'link', linkname: 'up/secret' },
      ],
      reason: /not a file of the image/,
    },
    {
      what: 'a block device',
      bad: [{ name: 'sda', type: 'block-device', devmajor: 8, devminor: 0 }],
      good: [{ name: 'sda', content: '' }],
      reason: /device node/,
    },
    {
      what: 'a character device',
      bad: [{ name: 'mem', type: 'character-device', devmajor: 1, devminor: 1 }],
      good: [{ name: 'mem', type: 'character-device', devmajor: 0, devminor: 0 }],
      reason: /device node/,
    },
    {
      what: 'a FIFO',
      bad: [{ name: 'pipe', type: 'fifo' }],
      good: [{ name: 'pipe', content: '' }],
      reason: /FIFO/,
    },
    {
      what: 'a whiteout of the parent',
      bad: [{ name: 'a/.wh...' }],
      good: [{ name: 'a/.wh....' }],
      reason: /whiteout of "\.\."/,
    },
    {
      what: 'a parent that is a file',
      bad: [
        { name: 'file', content: 'x' },
        { name: 'file/child', content: 'x' },
      ],
      good: [
        { name: 'file', type: 'directory' },
        { name: 'file/child', content: 'x' },
      ],
      reason: /not a directory/,
    },
    {
      what: 'links in a circle',
      bad: [
        { name: 'a', type: 'symlink', linkname: 'b' },
        { name: 'b', type: 'symlink', linkname: 'a' },
        { name: 'a/x', content: 'x' },
      ],
      good: [
        { name: 'a', type: 'symlink', linkname: 'b' },
        { name: 'b', type: 'directory' },
        { name: 'a/x', content: 'x' },
      ],
      reason: /too many symbolic links/,
    },
    {
      what: 'a name too long for a file system',
      bad: [{ name: 'n'.repeat(256), content: 'x' }],
      good: [{ name: 'n'.repeat(255), content: 'x' }],
      reason: /ENAMETOOLONG/,
    },
  ];

  for (const { what, bad, good, reason } of cases) {
    it(`refuses ${what}, and accepts its good twin`, async () => {
      using b = bench();
      await assert.rejects(
        b.apply(bad),
        (error) => isSlipwayError(error, 'image-refused') && reason.test(error.message),
      );
      assert.deepEqual(b.outside(), nothingOutside);
      assert.equal(readFileSync(join(b.root, '..', 'secret'), 'utf8'), 'secret');
      using twin = bench();
      await twin.apply(good);
      assert.deepEqual(twin.outside(), nothingOutside);
    });
  }

  it('is refused when a layer ends too early or is no tar', async () => {
    const tar = await makeTar([{ name: 'file', content: 'x'.repeat(5000) }]);
    for (const layer of [tar.subarray(0, 3000), gzipSync(tar).subarray(0, 60), Buffer.alloc(2048, 'x')]) {
      using b = bench();
      await assert.rejects(b.applyBytes(layer), (error) => isSlipwayError(error, 'image-corrupted'));
    }
  });
});

describe('a layer that is not there', () => {
  it('fails, rather than wait for its entries', async () => {
    using b = bench();
    const work = applyLayer(b.at('missing'), { root: b.root, budget: new UnpackBudget() });
    await assert.rejects(work, (error) => isSlipwayError(error, 'image-corrupted'));
  });
});

describe('bombs', () => {
  const tooLarge = (error: unknown) => isSlipwayError(error, 'image-too-large');

  it('of entries are refused at the limit', async () => {
    const tar = await makeTar(Array.from({ length: 11 }, (_, i) => ({ name: `f${i}`, content: '' })));
    using b = bench();
    await assert.rejects(b.applyBytes(tar, { maxEntries: 10 }), tooLarge);
    using twin = bench();
    await twin.applyBytes(tar, { maxEntries: 11 });
  });

  it('of bytes are refused before they are written', async () => {
    const tar = gzipSync(await makeTar([{ name: 'big', content: Buffer.alloc(4_000_000) }]));
    using b = bench();
    await assert.rejects(b.applyBytes(tar, { maxBytes: 1_000_000 }), tooLarge);
    assert.ok(statSync(b.at('big')).size <= 1_000_000);
    using twin = bench();
    await twin.applyBytes(tar, { maxBytes: 5_000_000 });
  });

  it('of compression are refused by their ratio', async () => {
    const tar = gzipSync(await makeTar([{ name: 'zeros', content: Buffer.alloc(4_000_000) }]));
    const limits = { maxCompressionRatio: 100, ratioFreeBytes: 100_000 };
    using b = bench();
    await assert.rejects(b.applyBytes(tar, limits), tooLarge);
    using twin = bench();
    await twin.applyBytes(tar, { ...limits, maxCompressionRatio: 2000 });
  });
});
