import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { createLocalBlobs } from '../../src/store/local-blobs.ts';
import { assertFails } from '../support/assert-fails.ts';
import { createSmallDisk } from '../support/small-disk.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';
import { testBlobs } from './blobs.ts';

const maxBytes = 10_000_000;

testBlobs('local', async () => {
  const directory = createTemporaryDirectory();
  return {
    open: () => createLocalBlobs({ root: directory.path }),
    [Symbol.asyncDispose]: async () => directory[Symbol.dispose](),
  };
});

describe('local blobs', () => {
  it('keeps one file for each content, for its owner alone, and nothing else', async () => {
    using directory = createTemporaryDirectory();
    const blobs = await createLocalBlobs({ root: directory.path });
    for (let i = 0; i < 3; i++) await blobs.put(bytes(1000), { maxBytes });
    await assertFails(blobs.put(bytes(2000), { maxBytes: 1999 }), 'blob-too-large');
    const files = filesBelow(directory.path);
    assert.equal(files.length, 1);
    assert.match(files[0] ?? '', /^sha256\/[0-9a-f]{2}\/[0-9a-f]{62}$/);
    assert.equal(statSync(join(directory.path, files[0] ?? '')).mode & 0o777, 0o600);
  });

  it('removes what a dead process left half-written, and nothing of a live one', async () => {
    using directory = createTemporaryDirectory();
    const incoming = join(directory.path, 'incoming');
    mkdirSync(incoming);
    const dead = spawn('true');
    await once(dead, 'exit');
    const live = `${process.ppid}-live`;
    for (const name of [`${dead.pid}-half`, `${process.pid}-of-an-earlier-life`, live]) {
      writeFileSync(join(incoming, name), 'half');
    }
    await createLocalBlobs({ root: directory.path });
    assert.deepEqual(readdirSync(incoming), [live]);
  });

  it('leaves a file alone that this process is writing', async () => {
    using directory = createTemporaryDirectory();
    const blobs = await createLocalBlobs({ root: directory.path });
    const gate = Promise.withResolvers<void>();
    async function* slow() {
      yield Buffer.from('slow');
      await createLocalBlobs({ root: directory.path });
      gate.resolve();
      yield Buffer.from('ly');
    }
    const { digest } = await blobs.put(slow(), { maxBytes });
    await gate.promise;
    assert.equal(await blobs.size(digest), 6);
  });

  it('says that the disk is full, keeps nothing half, and goes on when there is space', async () => {
    using disk = createSmallDisk(1024 * 1024);
    const blobs = await createLocalBlobs({ root: disk.path });
    const { digest } = await blobs.put(bytes(100_000), { maxBytes });
    const error = await assertFails(blobs.put(bytes(2_000_000), { maxBytes }), 'blobs-full');
    assert.equal(error.kind, 'unavailable');
    assert.equal(filesBelow(disk.path).length, 1);
    disk.fill();
    await assertFails(blobs.put(bytes(50_000), { maxBytes }), 'blobs-full');
    assert.equal(await blobs.size(digest), 100_000);
    disk.free();
    await blobs.put(bytes(200_000), { maxBytes });
  });
});

async function* bytes(count: number): AsyncGenerator<Uint8Array> {
  for (let left = count; left > 0; left -= 10_000) yield Buffer.alloc(Math.min(left, 10_000), left % 7);
}

function filesBelow(root: string): string[] {
  const entries = readdirSync(root, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1));
}
