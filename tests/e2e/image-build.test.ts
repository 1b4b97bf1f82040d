/** A real build with Debian's buildah: needs root, buildah, mmdebstrap, runc and a Debian mirror. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { buildImage } from '../../src/images/build/build-image.ts';
import { createImageStore } from '../../src/images/image-store.ts';
import { assertFails } from '../support/assert-fails.ts';
import { createTemporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.ts';

/** Processes with this word in their command line: the steps of a build that still run. */
function processesWith(word: string): string[] {
  return readdirSync('/proc').filter(
    (pid) => /^\d+$/.test(pid) && readCommand(pid).split(/[\0 ]/).includes(word),
  );
}

function readCommand(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

describe('building an image', () => {
  let directory: TemporaryDirectory;
  before(() => {
    directory = createTemporaryDirectory();
  });
  after(() => directory[Symbol.dispose]());

  const build = async (name: string, dockerfile: string, lines: string[] = [], signal?: AbortSignal) => {
    const contextDir = join(directory.path, name);
    mkdirSync(contextDir, { recursive: true });
    writeFileSync(join(contextDir, 'Dockerfile'), dockerfile);
    writeFileSync(join(contextDir, 'greeting'), 'hello');
    const store = createImageStore({ root: join(directory.path, 'images') });
    const hostEnv = { ...process.env, PIP_INDEX_URL: 'https://index.example/simple' };
    const progress = (line: string) => void lines.push(line);
    return { store, image: await buildImage({ store, contextDir, name, hostEnv, progress, signal }) };
  };

  it('makes debian:bookworm-slim where no registry answers, and runs a Dockerfile on it', async () => {
    const lines: string[] = [];
    const { store, image } = await build(
      'greeter',
      [
        'FROM debian:bookworm-slim',
        'COPY greeting /greeting',
        'RUN env > /during-build && cat "$APT_CONFIG" && echo step ran && useradd --uid 1234 someone',
        'USER someone',
        'CMD ["cat", "/greeting"]',
      ].join('\n'),
      lines,
    );
    assert.ok(lines.includes('step ran'), lines.join('\n'));
    assert.deepEqual([image.user.uid, image.user.name, image.cmd], [1234, 'someone', ['cat', '/greeting']]);
    assert.ok(image.packages.some(({ name }) => name === 'libc6'));
    assert.equal(image.hasShell, true);
    await store.verify(image);
    const rootfs = await store.rootfs(image);
    assert.equal(readFileSync(join(rootfs, 'greeting'), 'utf8'), 'hello');
    // The step saw the host's settings; the image's own configuration has none of them.
    assert.match(
      readFileSync(join(rootfs, 'during-build'), 'utf8'),
      /PIP_INDEX_URL=https:\/\/index\.example/,
    );
    const description = JSON.stringify([image.env, image.labels]);
    assert.doesNotMatch(description, /index\.example|slipway-build/);
    const base = await store.resolve('debian:bookworm-slim');
    assert.deepEqual(image.notes, base.notes);
  });

  it('shows the last lines of a step that fails, and stores nothing', async () => {
    const failing = build('failing', 'FROM debian:bookworm-slim\nRUN echo last words >&2; exit 7\n');
    const error = await assertFails(failing, 'build-failed');
    assert.match(error.message, /last words/);
    const store = createImageStore({ root: join(directory.path, 'images') });
    await assertFails(store.resolve('failing'), 'image-not-found');
  });

  it('names a base that is nowhere to be had', async () => {
    const error = await assertFails(build('baseless', 'FROM localhost/no/such:image\n'), 'base-unavailable');
    assert.match(error.message, /localhost\/no\/such:image/);
  });

  it('ends with the signal, and the next build works', async () => {
    const stop = new AbortController();
    const lines: string[] = [];
    const push = lines.push.bind(lines);
    lines.push = (...items) => {
      if (items.includes('started')) stop.abort();
      return push(...items);
    };
    const endless = build(
      'endless',
      'FROM debian:bookworm-slim\nRUN echo started; sleep 98765\n',
      lines,
      stop.signal,
    );
    await assertFails(endless, 'build-cancelled');
    assert.deepEqual(processesWith('98765'), []);
    const { image } = await build('after', 'FROM debian:bookworm-slim\nRUN true\n');
    assert.deepEqual(image.names, ['after']);
  });
});
