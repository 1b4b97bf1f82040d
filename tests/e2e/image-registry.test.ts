/** Pull and push through the command line, against Debian's docker-registry on the loopback interface. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Digest } from '../../src/base/digest.ts';
import { imageLabels } from '../../src/model/image.ts';
import { type CliResult, callCli, startCli } from '../support/cli.ts';
import { type Descriptor, startRegistry, type TestRegistry } from '../support/registry.ts';
import { makeTar, type TarEntry, writeOciLayout } from '../support/tar.ts';
import { createTemporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.ts';
import { until } from '../support/until.ts';

const layerType = 'application/vnd.oci.image.layer.v1.tar';
const manifestType = 'application/vnd.oci.image.manifest.v1+json';
const configType = 'application/vnd.oci.image.config.v1+json';
const indexType = 'application/vnd.oci.image.index.v1+json';

const base: TarEntry[] = [{ name: 'base', content: 'b'.repeat(400_000) }];
const own = (content: string): TarEntry[] => [{ name: 'own', content }];

/** Puts an image into a registry past the command line; layers stay as they are. */
async function putImage(
  registry: TestRegistry,
  [repository, tag]: [repository: string, tag: string],
  layers: readonly TarEntry[][],
  { architecture = 'amd64', docker = false } = {},
): Promise<Descriptor> {
  const blobs = await Promise.all(
    layers.map(async (layer) => registry.putBlob(repository, await makeTar(layer))),
  );
  const diff_ids = blobs.map(({ digest }) => digest);
  const config = { architecture, os: 'linux', config: {}, rootfs: { type: 'layers', diff_ids } };
  const configBlob = await registry.putBlob(repository, JSON.stringify(config));
  const types = docker
    ? {
        manifest: 'application/vnd.docker.distribution.manifest.v2+json',
        config: 'application/vnd.docker.container.image.v1+json',
        layer: 'application/vnd.docker.image.rootfs.diff.tar',
      }
    : { manifest: manifestType, config: configType, layer: layerType };
  return registry.putManifest(repository, tag, {
    schemaVersion: 2,
    mediaType: types.manifest,
    config: { mediaType: types.config, ...configBlob },
    layers: blobs.map((blob) => ({ mediaType: types.layer, ...blob })),
  });
}

describe('images and registries', () => {
  let directory: TemporaryDirectory;
  let registry: TestRegistry;
  let stores = 0;

  before(async () => {
    directory = createTemporaryDirectory();
    registry = await startRegistry();
  });
  after(async () => {
    await registry[Symbol.asyncDispose]();
    directory[Symbol.dispose]();
  });

  /** A command line with a store of its own. */
  function openStore(settings: Record<string, string> = {}, at = registry) {
    stores += 1;
    const state = join(directory.path, `state-${stores}`);
    mkdirSync(state);
    const env = { SLIPWAY_STATE_DIR: state, SLIPWAY_REGISTRIES: at.host, HOME: state, ...settings };
    at.asked.length = 0;
    at.intercept = () => false;
    return {
      state,
      env,
      image: (...argv: string[]) => callCli(['image', ...argv], { env }),
      /** What is left of everything, to see that a refusal left nothing. */
      contents: () =>
        ['blobs/sha256', 'unpacked', 'names', 'scratch'].map((name) =>
          namesBelow(join(state, 'images', name)),
        ),
    };
  }
  const nothing = [[], [], [], []];

  const at = (path: string) => `${registry.host}/${path}`;
  const blobsAsked = () => registry.asked.filter((path) => path.includes('/blobs/'));

  it('push and pull keep the digest, and fetch only what is not here', async () => {
    const first = openStore();
    const layout = join(directory.path, 'tree.tar');
    writeFileSync(layout, await makeTar(own('round trip')));
    const imported = json(await first.image('import', layout, '--name', 'mine', '--json'));
    const pushed = await first.image('push', 'mine', at('team/mine:1'), '--json');
    assert.equal(json(pushed).digest, imported.digest);
    const second = openStore();
    const pulled = json(await second.image('pull', at('team/mine:1'), '--json'));
    assert.deepEqual([pulled.digest, pulled.names], [imported.digest, [at('team/mine:1')]]);
    const tree = join(second.state, 'images', 'unpacked', imported.digest.slice(7), 'rootfs', 'own');
    assert.equal(readFileSync(tree, 'utf8'), 'round trip');

    await putImage(registry, ['team/a', '1'], [base, own('a')]);
    const b = await putImage(registry, ['team/b', '1'], [base, own('b')]);
    await second.image('pull', at('team/a:1'));
    registry.asked.length = 0;
    assert.equal(json(await second.image('pull', at('team/b:1'), '--json')).digest, b.digest);
    const layer = await makeTar(base);
    const shared = await registry.putBlob('team/b', layer);
    assert.ok(blobsAsked().length > 0);
    assert.deepEqual(
      blobsAsked().filter((path) => path.includes(shared.digest)),
      [],
    );
    registry.asked.length = 0;
    const again = await second.image('pull', at('team/b:1'), '--name', 'other');
    assert.match(again.stderr, /the store has it already/);
    assert.match(again.stdout.toString(), /^name +127\.0\.0\.1:\d+\/team\/b:1, other$/m);
    assert.deepEqual(await second.image('gc').then(({ exitCode }) => exitCode), 0);
  });

  it('takes images in Docker’s own format for what they are', async () => {
    const store = openStore();
    const { digest } = await putImage(registry, ['team/docker', '1'], [base], { docker: true });
    assert.equal(json(await store.image('pull', at('team/docker:1'), '--json')).digest, digest);
    assert.equal((await store.image('verify')).exitCode, 0);
    const pushed = await store.image('push', at('team/docker:1'), at('team/docker:2'));
    assert.equal(pushed.exitCode, 0, pushed.stderr);
  });

  it('pulls nothing from where the operator does not allow it', async () => {
    await putImage(registry, ['open/tool', '1'], [own('x')]);
    const closed = openStore({ SLIPWAY_REGISTRIES: '' });
    const refused = await closed.image('pull', at('open/tool:1'));
    assert.match(refused.stderr, /SLIPWAY_REGISTRIES does not allow it \(nothing is\)/);
    assert.equal(refused.exitCode, 2);
    assert.deepEqual(registry.asked, []);
    const narrow = openStore({ SLIPWAY_REGISTRIES: at('open') });
    assert.equal((await narrow.image('pull', at('open/tool:1'))).exitCode, 0);
    assert.match((await narrow.image('pull', at('opener/tool:1'))).stderr, /may not be pulled/);
    assert.match((await narrow.image('pull', 'python')).stderr, /docker\.io\/library\/python:latest may not/);
  });

  it('pins by digest, and keeps nothing of a registry that lies', async () => {
    const good = await putImage(registry, ['team/pinned', '1'], [own('good')]);
    const evil = await putImage(registry, ['team/pinned', 'evil'], [own('evil')]);
    const store = openStore();
    const pulled = json(await store.image('pull', `${at('team/pinned')}@${good.digest}`, '--json'));
    assert.deepEqual(pulled.names, [`${at('team/pinned')}:sha256-${good.digest.slice(7, 19)}`]);
    const absent = await openStore().image('pull', `${at('team/pinned')}@sha256:${'0'.repeat(64)}`);
    assert.match(absent.stderr, /has no image/);
    const lied = openStore();
    const bytes = await registry.getManifest('team/pinned', evil.digest);
    registry.intercept = (asked, answer) => {
      if (!asked.url?.includes(`/manifests/${good.digest}`)) return false;
      answer
        .writeHead(200, { 'content-type': manifestType, 'docker-content-digest': good.digest })
        .end(bytes);
      return true;
    };
    const refused = await lied.image('pull', `${at('team/pinned')}@${good.digest}`);
    assert.match(refused.stderr, /sent something else than/);
    assert.deepEqual(lied.contents(), nothing);
    const swapped = openStore();
    const layer = await registry.putBlob('team/pinned', await makeTar(own('good')));
    registry.intercept = (asked, answer) => {
      if (!asked.url?.includes(`/blobs/${layer.digest}`)) return false;
      answer.writeHead(200).end(Buffer.alloc(layer.size, 'x'));
      return true;
    };
    assert.match((await swapped.image('pull', at('team/pinned:1'))).stderr, /sent something else than/);
    assert.deepEqual(swapped.contents(), nothing);
  });

  it('chooses the image for this machine, or for the one that is named', async () => {
    const amd64 = await putImage(registry, ['team/multi', 'a'], [own('amd64')]);
    const arm64 = await putImage(registry, ['team/multi', 'b'], [own('arm64')], { architecture: 'arm64' });
    const entry = (image: Descriptor, architecture: string, more = {}) => ({
      mediaType: manifestType,
      ...image,
      platform: { os: 'linux', architecture, ...more },
    });
    const attestation = {
      mediaType: manifestType,
      ...arm64,
      platform: { os: 'unknown', architecture: 'unknown' },
    };
    const index = await registry.putManifest('team/multi', '1', {
      schemaVersion: 2,
      mediaType: indexType,
      manifests: [attestation, entry(arm64, 'arm64', { variant: 'v8' }), entry(amd64, 'amd64')],
    });
    const mine = process.arch === 'x64' ? amd64 : arm64;
    const store = openStore();
    assert.equal(json(await store.image('pull', at('team/multi:1'), '--json')).digest, mine.digest);
    const pinned = await store.image('pull', `${at('team/multi')}@${index.digest}`, '--json');
    assert.equal(json(pinned).digest, mine.digest);
    const other = await store.image('pull', at('team/multi:1'), '--platform', 'linux/arm64', '--json');
    assert.equal(json(other).digest, arm64.digest);
    const none = await store.image('pull', at('team/multi:1'), '--platform', 'linux/s390x');
    assert.match(none.stderr, /no image for linux\/s390x; there is: linux\/arm64\/v8, linux\/amd64/);
    const single = await store.image('pull', at('team/multi:a'), '--platform', 'riscv64');
    assert.match(single.stderr, /no image for linux\/riscv64; there is: linux\/amd64/);
    assert.equal((await store.image('pull', at('team/multi:1'), '--platform', 'windows/amd64')).exitCode, 2);
  });

  it('tries a broken download again, a bounded number of times', async () => {
    await putImage(registry, ['team/broken', '1'], [base, own('broken')]);
    const large = await registry.putBlob('team/broken', await makeTar(base));
    const store = openStore();
    let broken = 0;
    const breakOff = (times: number) => {
      registry.intercept = (asked, answer) => {
        if (!asked.url?.includes(`/blobs/${large.digest}`) || broken >= times) return false;
        broken += 1;
        answer.writeHead(200, { 'content-length': String(large.size) });
        answer.write(Buffer.alloc(1000), () => answer.destroy());
        return true;
      };
    };
    breakOff(2);
    const pulled = await store.image('pull', at('team/broken:1'));
    assert.equal(pulled.exitCode, 0, pulled.stderr);
    assert.equal(broken, 2);
    assert.match(pulled.stderr, /Trying again/);
    const hopeless = openStore();
    broken = 0;
    breakOff(100);
    const refused = await hopeless.image('pull', at('team/broken:1'));
    assert.match(refused.stderr, /cannot be reached or broke off/);
    assert.ok(broken >= 4 && broken < 30, `${broken} attempts`);
    assert.deepEqual(hopeless.contents(), nothing);
  });

  it('ends with Ctrl-C and with its deadline, and leaves nothing', async () => {
    await putImage(registry, ['team/endless', '1'], [base]);
    const large = await registry.putBlob('team/endless', await makeTar(base));
    const hold = () => {
      registry.intercept = (asked, answer) => {
        if (!asked.url?.includes(`/blobs/${large.digest}`)) return false;
        answer.writeHead(200, { 'content-length': String(large.size) });
        answer.write(Buffer.alloc(1000));
        return true;
      };
    };
    const stopped = openStore();
    hold();
    const running = startCli(['image', 'pull', at('team/endless:1')], { env: stopped.env });
    await until('the layer is asked for', () => blobsAsked().some((path) => path.includes(large.digest)));
    running.signal('SIGINT');
    const { stderr, exitCode } = await running.result;
    assert.match(stderr, /was cancelled/);
    assert.equal(exitCode, 1);
    assert.deepEqual(stopped.contents(), nothing);
    assert.deepEqual(skopeosOf(stopped.state), []);
    const late = openStore();
    hold();
    const timedOut = await late.image('pull', at('team/endless:1'), '--timeout', '1s');
    assert.match(timedOut.stderr, /did not end within 1\.00 s|did not end within 1 s/);
    assert.deepEqual(late.contents(), nothing);
    assert.deepEqual(skopeosOf(late.state), []);
  });

  it('says what is not there, and who cannot be reached', async () => {
    const store = openStore({ SLIPWAY_REGISTRIES: `${registry.host},127.0.0.1:1` });
    assert.match((await store.image('pull', at('team/never:1'))).stderr, /has no image .*team\/never:1/);
    const unreachable = await store.image('pull', '127.0.0.1:1/x', '--timeout', '2s');
    assert.match(
      unreachable.stderr,
      /cannot be reached .*connection refused.*Trying again.*did not end within/s,
    );
    assert.equal((await store.image('pull', 'Not A Name')).exitCode, 2);
    assert.match((await store.image('push', 'missing', at('x/y'))).stderr, /no image "missing"/);
  });

  it('does not take the name of an image of ours by accident', async () => {
    await putImage(registry, ['team/ours', '1'], [own('theirs')]);
    const store = openStore();
    const layout = join(directory.path, 'ours');
    await writeOciLayout(layout, [await makeTar(own('ours'))], {
      config: { Labels: { [imageLabels.recipe]: 'x' } },
    });
    await store.image('import', layout, '--name', at('team/ours:1'));
    assert.match(
      (await store.image('pull', at('team/ours:1'))).stderr,
      /belongs to an image of Slipway's own/,
    );
    assert.equal((await store.image('pull', at('team/ours:1'), '--name', 'theirs')).exitCode, 0);
    assert.equal((await store.image('pull', at('team/ours:1'), '--name', at('team/ours:1'))).exitCode, 0);
  });

  it('refuses images that an import would refuse', async () => {
    const store = openStore();
    await putImage(registry, ['team/hostile', '1'], [[{ name: '../evil', content: 'x' }]]);
    assert.match((await store.image('pull', at('team/hostile:1'))).stderr, /"\.\.\/evil": its name leaves/);
    assert.deepEqual(store.contents(), nothing);
  });

  describe('with credentials', () => {
    const password = 'correct horse battery';
    let locked: TestRegistry;
    before(async () => {
      // htpasswd -nbB operator 'correct horse battery'
      locked = await startRegistry({
        htpasswd: 'operator:$2y$05$iCEHWkebe9zEXGKFbXH60u1LN1PQVHDHE0J1X73wZ6MRGb9j7d.Bq\n',
      });
    });
    after(() => locked[Symbol.asyncDispose]());

    it('pushes and pulls with a file, and shows them to nobody', async () => {
      const store = openStore({}, locked);
      const tar = join(directory.path, 'locked.tar');
      writeFileSync(tar, await makeTar(own('locked')));
      await store.image('import', tar, '--name', 'mine');
      const target = `${locked.host}/team/locked:1`;
      const anonymous = await store.image('push', 'mine', target);
      assert.match(anonymous.stderr, /refuses access to .*--creds-file/);
      const auth = (secret: string) => Buffer.from(`operator:${secret}`).toString('base64');
      const files = {
        line: `operator:${password}\n`,
        auths: JSON.stringify({ auths: { [locked.host]: { auth: auth(password) }, other: { auth: 'x' } } }),
        wrong: `operator:${password}!`,
        empty: '{"auths":{}}',
        nonsense: password,
      };
      const fileOf = (name: keyof typeof files) => {
        const path = join(directory.path, `creds-${name}`);
        writeFileSync(path, files[name], { mode: 0o600 });
        return path;
      };
      const exposed: string[] = [];
      locked.intercept = () => {
        exposed.push(
          ...commandLines().filter((words) => words.includes(password) || words.includes(auth(password))),
        );
        return false;
      };
      const pushed = await store.image('push', 'mine', target, '--creds-file', fileOf('line'));
      assert.equal(pushed.exitCode, 0, pushed.stderr);
      const reader = openStore({}, locked);
      for (const name of ['wrong', 'empty', 'nonsense'] as const) {
        const refused = await reader.image('pull', target, '--creds-file', fileOf(name));
        assert.equal(refused.exitCode, 2, refused.stderr);
        assert.ok(!refused.stderr.includes(password), refused.stderr);
      }
      assert.equal((await reader.image('pull', target, '--creds-file', fileOf('auths'))).exitCode, 0);
      const atHome = openStore({}, locked);
      assert.match((await atHome.image('pull', target)).stderr, /refuses access/);
      mkdirSync(join(atHome.state, '.docker'));
      writeFileSync(join(atHome.state, '.docker', 'config.json'), files.auths);
      const pulled = await atHome.image('pull', target);
      assert.equal(pulled.exitCode, 0, pulled.stderr);
      assert.deepEqual(exposed, []);
      assert.ok(!(pulled.stderr + pulled.stdout).includes(password));
    });
  });

  describe('with keys', () => {
    const ours = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
    const theirs = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });

    /** Signs as `cosign sign --key` does: see its SIGNATURE_SPEC.md. */
    async function signImage(
      repository: string,
      digest: Digest,
      { key = ours.privateKey, signed = digest }: { key?: KeyObject; signed?: Digest } = {},
    ): Promise<void> {
      const payload = JSON.stringify({
        critical: {
          identity: { 'docker-reference': at(repository) },
          image: { 'docker-manifest-digest': signed },
          type: 'cosign container image signature',
        },
        optional: null,
      });
      const layer = await registry.putBlob(repository, payload);
      const config = await registry.putBlob(
        repository,
        JSON.stringify({
          architecture: '',
          os: '',
          config: {},
          rootfs: { type: 'layers', diff_ids: [layer.digest] },
        }),
      );
      const annotation = sign('sha256', Buffer.from(payload), { key, dsaEncoding: 'der' }).toString('base64');
      await registry.putManifest(repository, `sha256-${digest.slice(7)}.sig`, {
        schemaVersion: 2,
        mediaType: manifestType,
        config: { mediaType: configType, ...config },
        layers: [
          {
            mediaType: 'application/vnd.dev.cosign.simplesigning.v1+json',
            ...layer,
            annotations: { 'dev.cosignproject.cosign/signature': annotation },
          },
        ],
      });
    }

    /** A directory of keys that holds this one for `signed/` of the registry. */
    function keysDir(key: KeyObject): string {
      const path = join(directory.path, `keys-${stores}`);
      const place = join(path, registry.host, 'signed');
      mkdirSync(place, { recursive: true });
      writeFileSync(join(place, 'release.pub'), key.export({ type: 'spki', format: 'pem' }));
      return path;
    }

    const pullWith = async (key: KeyObject, reference: string) => {
      const store = openStore({ SLIPWAY_IMAGE_KEYS: keysDir(key) });
      const result = await store.image('pull', at(reference));
      return { ...result, contents: store.contents() };
    };

    it('takes what is signed, and nothing else', async () => {
      const signed = await putImage(registry, ['signed/tool', '1'], [own('signed')]);
      await signImage('signed/tool', signed.digest);
      const good = await pullWith(ours.publicKey, 'signed/tool:1');
      assert.equal(good.exitCode, 0, good.stderr);
      assert.match(good.stderr, /signature verified/);
      const wrongKey = await pullWith(theirs.publicKey, 'signed/tool:1');
      assert.match(wrongKey.stderr, /none of this very image by a key/);
      assert.deepEqual(wrongKey.contents, nothing);
      const missing = await putImage(registry, ['signed/bare', '1'], [own('bare')]);
      const unsigned = await pullWith(ours.publicKey, 'signed/bare:1');
      assert.match(unsigned.stderr, /is not signed, and SLIPWAY_IMAGE_KEYS demands it/);
      assert.deepEqual(unsigned.contents, nothing);
      // A good signature of another image, put in this one's place.
      await signImage('signed/bare', missing.digest, { signed: signed.digest });
      assert.match((await pullWith(ours.publicKey, 'signed/bare:1')).stderr, /none of this very image/);
      await signImage('signed/bare', missing.digest);
      assert.equal((await pullWith(ours.publicKey, 'signed/bare:1')).exitCode, 0);
    });

    it('takes a signature of the index for its images', async () => {
      const image = await putImage(registry, ['signed/multi', 'a'], [own('multi')]);
      const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
      const index = await registry.putManifest('signed/multi', '1', {
        schemaVersion: 2,
        mediaType: indexType,
        manifests: [{ mediaType: manifestType, ...image, platform: { os: 'linux', architecture } }],
      });
      assert.match((await pullWith(ours.publicKey, 'signed/multi:1')).stderr, /is not signed/);
      await signImage('signed/multi', index.digest);
      assert.equal((await pullWith(ours.publicKey, 'signed/multi:1')).exitCode, 0);
    });

    it('demands nothing where no key is, and trusts no file that is none', async () => {
      await putImage(registry, ['elsewhere/tool', '1'], [own('free')]);
      assert.equal((await pullWith(ours.publicKey, 'elsewhere/tool:1')).exitCode, 0);
      const keys = keysDir(ours.publicKey);
      writeFileSync(join(keys, registry.host, 'elsewhere'), 'a file where a directory could be');
      const strict = openStore({ SLIPWAY_IMAGE_KEYS: keys });
      const refused = await strict.image('pull', at('elsewhere/tool:1'));
      assert.equal(refused.exitCode, 2);
      assert.match(refused.stderr, /"[^"]*elsewhere" of SLIPWAY_IMAGE_KEYS cannot be used/);
      const lost = openStore({ SLIPWAY_IMAGE_KEYS: join(directory.path, 'no-keys') });
      assert.match((await lost.image('pull', at('elsewhere/tool:1'))).stderr, /cannot be used: ENOENT/);
    });
  });

  it('builds on a base from an allowed registry only', async () => {
    await putImage(registry, ['team/base', '1'], [own('base')]);
    const context = join(directory.path, 'context');
    mkdirSync(context);
    writeFileSync(join(context, 'Dockerfile'), `FROM ${at('team/base:1')}\nCOPY more /more\n`);
    writeFileSync(join(context, 'more'), 'more');
    const closed = openStore({ SLIPWAY_REGISTRIES: '' });
    const refused = await closed.image('build', context, '--name', 'built');
    assert.match(refused.stderr, /base image .*SLIPWAY_REGISTRIES does not allow it/);
    const open = openStore();
    const built = await open.image('build', context, '--name', 'built');
    assert.equal(built.exitCode, 0, built.stderr);
    const digest = json(await open.image('show', 'built', '--json')).digest.slice(7);
    const tree = join(open.state, 'images', 'unpacked', digest, 'rootfs');
    assert.deepEqual(
      [readFileSync(join(tree, 'own'), 'utf8'), readFileSync(join(tree, 'more'), 'utf8')],
      ['base', 'more'],
    );
  });
});

interface Printed {
  readonly digest: string;
  readonly names: string[];
}

function json(result: CliResult): Printed {
  assert.equal(result.exitCode, 0, result.stderr);
  return JSON.parse(result.stdout.toString());
}

function namesBelow(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function commandLines(): string[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.map((pid) => {
    try {
      return (
        readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ') +
        readFileSync(`/proc/${pid}/environ`, 'utf8')
      );
    } catch {
      return '';
    }
  });
}

/** Children that work in this store. */
function skopeosOf(state: string): string[] {
  return commandLines().filter((words) => words.startsWith('skopeo') && words.includes(state));
}
