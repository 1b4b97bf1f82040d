import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { createTemporaryDirectory } from '../../../tests/support/temporary-directory.ts';
import { prepareBuildSettings } from './build-settings.ts';

const wrapper = join(import.meta.dirname, 'runtime-wrapper.ts');

/** What the wrapper makes of a step's configuration in a tree with this os-release. */
function wrapped(osRelease: string, settings: object): { env: string[]; mounts: object[]; kept: unknown } {
  using directory = createTemporaryDirectory();
  const root = join(directory.path, 'root');
  mkdirSync(join(root, 'etc'), { recursive: true });
  writeFileSync(join(root, 'etc', 'os-release'), osRelease);
  const config = {
    ociVersion: '1',
    process: { env: ['PIP_CERT=own'], args: ['sh'] },
    root: { path: root },
    mounts: [],
  };
  writeFileSync(join(directory.path, 'config.json'), JSON.stringify(config));
  writeFileSync(join(directory.path, 'settings.json'), JSON.stringify(settings));
  execFileSync(process.execPath, [wrapper, join(directory.path, 'settings.json'), directory.path]);
  const result = JSON.parse(readFileSync(join(directory.path, 'config.json'), 'utf8'));
  return { env: result.process.env, mounts: result.mounts, kept: [result.ociVersion, result.process.args] };
}

describe('the runtime wrapper', () => {
  const settings = { directory: '/settings', env: { PIP_CERT: 'ours', http_proxy: 'http://proxy' } };

  it('adds the variables that a step has not set itself, and one read-only mount', () => {
    const { env, mounts, kept } = wrapped('ID=debian\nVERSION_CODENAME=bookworm\n', settings);
    const apt = 'APT_CONFIG=/run/slipway-build/apt.bookworm.conf';
    assert.deepEqual(env, ['PIP_CERT=own', 'http_proxy=http://proxy', apt]);
    assert.deepEqual(mounts, [
      {
        destination: '/run/slipway-build',
        type: 'bind',
        source: '/settings',
        options: ['rbind', 'ro', 'nosuid', 'nodev', 'noexec'],
      },
    ]);
    assert.deepEqual(kept, ['1', ['sh']]);
  });

  it('leaves the package sources of other systems alone', () => {
    for (const other of [
      'ID=ubuntu\nVERSION_CODENAME=bookworm\n',
      'ID=debian\nVERSION_CODENAME=../../x\n',
      '',
    ]) {
      assert.ok(wrapped(other, settings).env.includes('APT_CONFIG=/run/slipway-build/apt.conf'), other);
    }
  });
});

describe('build settings', () => {
  it('take proxies in both spellings and nothing that was not asked for', async () => {
    using directory = createTemporaryDirectory();
    writeFileSync(join(directory.path, 'private.crt'), 'certificate');
    const host = {
      HTTPS_PROXY: 'http://proxy:1',
      no_proxy: 'here',
      PIP_INDEX_URL: 'https://index.example/simple',
      AWS_SECRET_ACCESS_KEY: 'secret',
      SSL_CERT_FILE: join(directory.path, 'private.crt'),
    };
    const { env } = await prepareBuildSettings(join(directory.path, 'settings'), host);
    assert.equal(env['https_proxy'], 'http://proxy:1');
    assert.equal(env['NO_PROXY'], 'here');
    assert.equal(env['PIP_INDEX_URL'], 'https://index.example/simple');
    assert.equal(env['PIP_CERT'], '/run/slipway-build/ca.crt');
    assert.ok(!JSON.stringify(env).includes('secret'));
    assert.equal(readFileSync(join(directory.path, 'settings', 'ca.crt'), 'utf8'), 'certificate');
  });
});
