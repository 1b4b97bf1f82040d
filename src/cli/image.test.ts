import assert from 'node:assert/strict';
import { statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { assertFails } from '../../tests/support/assert-fails.ts';
import { makeTar, writeOciLayout } from '../../tests/support/tar.ts';
import { createTemporaryDirectory } from '../../tests/support/temporary-directory.ts';
import { createImageStore } from '../images/image-store.ts';
import { imageLabels } from '../model/image.ts';
import { createImageCommand } from './image.ts';
import type { TextSink } from './progress.ts';

interface Bench extends Disposable {
  readonly at: (name: string) => string;
  /** Runs `slipway image …` and returns what it printed. */
  readonly run: (...args: string[]) => Promise<{ out: string; err: string }>;
}

function bench(terminal: Partial<TextSink> = {}): Bench {
  const directory = createTemporaryDirectory();
  const store = createImageStore({ root: join(directory.path, 'images') });
  return {
    at: (name) => join(directory.path, name),
    async run(...args) {
      const printed = { out: '', err: '' };
      const sink = (key: 'out' | 'err'): TextSink => ({
        ...terminal,
        write: (text) => {
          printed[key] += text;
        },
      });
      const options = { hostEnv: {}, out: sink('out'), err: sink('err') };
      await createImageCommand(() => store, options).parseAsync(args, { from: 'user' });
      return printed;
    },
    [Symbol.dispose]: () => directory[Symbol.dispose](),
  };
}

async function writeImage(b: Bench): Promise<void> {
  const packages = JSON.stringify([{ name: 'python3-pandas', version: '1.5.3', source: 'debian' }]);
  const layer = await makeTar([{ name: 'usr/lib/slipway/packages.json', content: packages }]);
  const labels = {
    [imageLabels.notes]: 'built without: sdtp (package index unreachable)\u001b]0;evil\u0007',
  };
  await writeOciLayout(b.at('layout'), [layer], { config: { Labels: labels } });
}

describe('slipway image', () => {
  it('imports, lists and shows for people', async () => {
    using b = bench();
    await writeImage(b);
    const imported = await b.run('import', b.at('layout'), '--name', 'mine');
    assert.match(imported.out, /^name +mine\ndigest +sha256:[0-9a-f]{64}\nsize +\d+ B\n/);
    assert.match(imported.err, /^reading .*\nunpacking layer 1 of 1\n$/);
    assert.match((await b.run('list')).out, /^NAME +DIGEST +SIZE\nmine +[0-9a-f]{12} +\d+ B\n$/);
    const shown = (await b.run('show', 'mine')).out;
    assert.match(shown, /note +built without: sdtp/);
    assert.match(shown, /\nPACKAGE +VERSION +FROM\npython3-pandas +1\.5\.3 +debian\n$/);
    assert.doesNotMatch(shown, /[\u001b\u0007]/);
  });

  it('prints JSON alone on standard output when asked', async () => {
    using b = bench();
    await writeImage(b);
    const imported = JSON.parse((await b.run('import', b.at('layout'), '--name', 'mine', '--json')).out);
    assert.deepEqual(JSON.parse((await b.run('show', 'mine', '--json')).out), imported);
    assert.deepEqual(JSON.parse((await b.run('list', '--json')).out), [imported]);
  });

  it('verifies one image or all, and ends with the first damage', async () => {
    using b = bench();
    await writeImage(b);
    await b.run('import', b.at('layout'), '--name', 'mine');
    const tree = await makeTar([{ name: './etc/motd', content: 'hello' }]);
    writeFileSync(b.at('tree.tar'), tree);
    const imported = await b.run('import', b.at('tree.tar'), '--name', 'tree', '--json');
    const { digest } = JSON.parse(imported.out);
    assert.equal((await b.run('verify')).out, 'mine  whole\ntree  whole\n');
    const motd = join(b.at('images'), 'unpacked', digest.slice('sha256:'.length), 'rootfs/etc/motd');
    const { atime, mtime } = statSync(motd);
    writeFileSync(motd, 'HELLO');
    utimesSync(motd, atime, mtime);
    assert.equal((await b.run('verify', 'mine')).out, 'mine  whole\n');
    const error = await assertFails(b.run('verify', '--json'), 'image-corrupted');
    assert.match(error.message, /"\/etc\/motd" has changed\. Build or import it again/);
  });

  it('prints no lines of progress on a terminal, and leaves nothing there (progress.test.ts has the bar)', async () => {
    using b = bench({ isTTY: true, columns: 30 });
    await writeImage(b);
    const { err } = await b.run('import', b.at('layout'), '--name', 'mine');
    assert.doesNotMatch(err, /\n/);
    assert.equal(err.split('\r\u001b[K').at(-1), '');
  });

  it('exports, removes, and collects what is left over', async () => {
    using b = bench();
    await writeImage(b);
    const { digest } = JSON.parse((await b.run('import', b.at('layout'), '--name', 'mine', '--json')).out);
    await b.run('export', 'mine', b.at('out.tar'), '--format', 'docker');
    await b.run('import', b.at('out.tar'), '--name', 'again');
    assert.deepEqual(JSON.parse((await b.run('show', 'again', '--json')).out).digest, digest);
    assert.match((await b.run('remove', 'mine')).out, /^name removed [0-9a-f]{12}: it is still again\n$/);
    const tree = await makeTar([{ name: './etc/motd', content: 'hello' }]);
    writeFileSync(b.at('tree.tar'), tree);
    await b.run('import', b.at('tree.tar'), '--name', 'again');
    assert.match(
      (await b.run('gc', '--dry-run')).out,
      /^would remove [0-9a-f]{12}, .*\nwould remove 3 blobs, /,
    );
    assert.equal(JSON.parse((await b.run('list', '--json')).out).length, 2);
    const garbage = JSON.parse((await b.run('gc', '--json')).out);
    assert.deepEqual([garbage.images[0].digest, garbage.blobs.count, garbage.dryRun], [digest, 3, false]);
    assert.match((await b.run('gc')).out, /^removed 0 blobs, 0 B\nfreed 0 B\n$/);
    assert.match((await b.run('remove', 'again')).out, /^removed [0-9a-f]{12}\n$/);
    assert.equal(JSON.parse((await b.run('list', '--json')).out).length, 0);
  });

  it('keeps what runs of the service need', async () => {
    using directory = createTemporaryDirectory();
    const store = createImageStore({ root: join(directory.path, 'images') });
    const tar = join(directory.path, 'tree.tar');
    writeFileSync(tar, await makeTar([{ name: './etc/motd', content: 'hello' }]));
    const image = await store.import({ kind: 'rootfs', path: tar }, 'mine');
    let out = '';
    const sink = { write: (text: string) => (out += text) };
    const options = { hostEnv: {}, out: sink, err: sink, getNeeded: async () => new Set([image.digest]) };
    const run = (...args: string[]) =>
      createImageCommand(() => store, options).parseAsync(args, { from: 'user' });
    await run('remove', 'mine');
    assert.match(out, /name removed [0-9a-f]{12}: it is in use/);
    await run('gc');
    assert.match(out, /\nin use: [0-9a-f]{12}\n/);
    assert.deepEqual((await store.list()).length, 1);
  });

  it('recognises what it is given', async () => {
    using b = bench();
    const tree = await makeTar([{ name: './etc/motd', content: 'hello' }]);
    writeFileSync(b.at('tree.tar'), tree);
    await b.run('import', b.at('tree.tar'), '--name', 'tree');
    writeFileSync(b.at('text'), 'not a tar at all'.repeat(100));
    await assertFails(b.run('import', b.at('text'), '--name', 'x'), 'image-unreadable');
    await assertFails(b.run('import', b.at('missing'), '--name', 'x'), 'image-unreadable');
    await assertFails(b.run('import', b.at('.'), '--name', 'x'), 'image-unreadable');
    await assertFails(b.run('show', 'missing'), 'image-not-found');
    await assertFails(b.run('build', b.at('missing'), '--name', 'x'), 'build-context-missing');
  });
});
