import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { assertFails } from '../../../tests/support/assert-fails.ts';
import { createTemporaryDirectory } from '../../../tests/support/temporary-directory.ts';
import { readCredentials } from './credentials.ts';
import { parseRegistryReference } from './registry-reference.ts';

const base64 = (text: string) => Buffer.from(text).toString('base64');

describe('readCredentials', () => {
  const at = (file: string, name = 'x.example/tool') =>
    readCredentials(parseRegistryReference(name), { file });

  it('hands on the one entry of the registry', async () => {
    using directory = createTemporaryDirectory();
    const file = join(directory.path, 'auth.json');
    const auths = {
      'x.example': { auth: base64('a:b'), email: 'left@out' },
      'x.example:5000': { auth: base64('other:port') },
      'https://index.docker.io/v1/': { identitytoken: 'token' },
    };
    writeFileSync(file, JSON.stringify({ auths, HttpHeaders: {} }));
    assert.deepEqual(JSON.parse((await at(file)) ?? ''), { auths: { 'x.example': { auth: base64('a:b') } } });
    assert.deepEqual(JSON.parse((await at(file, 'python')) ?? ''), {
      auths: { 'https://index.docker.io/v1/': { identitytoken: 'token' } },
    });
    await assertFails(at(file, 'y.example/tool'), 'credentials-missing');
  });

  it('takes one line, and a password with colons', async () => {
    using directory = createTemporaryDirectory();
    const file = join(directory.path, 'line');
    writeFileSync(file, 'operator:a:b c\n');
    assert.deepEqual(JSON.parse((await at(file)) ?? ''), {
      auths: { 'x.example': { auth: base64('operator:a:b c') } },
    });
  });

  it('finds what docker login wrote, if anything', async () => {
    using directory = createTemporaryDirectory();
    const home = directory.path;
    const find = (name: string) => readCredentials(parseRegistryReference(name), { home });
    assert.equal(await find('x.example/tool'), undefined);
    mkdirSync(join(home, '.docker'));
    const config = join(home, '.docker', 'config.json');
    writeFileSync(config, JSON.stringify({ auths: { 'x.example': { auth: 'eA==' }, 'h.example': {} } }));
    assert.match((await find('x.example/tool')) ?? '', /eA==/);
    assert.equal(await find('y.example/tool'), undefined);
    writeFileSync(config, JSON.stringify({ auths: {}, credHelpers: { 'h.example': 'vault' } }));
    const error = await assertFails(find('h.example/tool'), 'credentials-unreadable');
    assert.match(error.message, /docker-credential-vault/);
    assert.equal(await find('x.example/tool'), undefined);
  });

  it('never quotes a file that it cannot use', async () => {
    using directory = createTemporaryDirectory();
    for (const text of ['hunter2', '{"auths": "hunter2"}', '{hunter2', 'a:\nhunter2\n', '']) {
      const file = join(directory.path, 'bad');
      writeFileSync(file, text);
      const error = await assertFails(at(file), 'credentials-unreadable');
      assert.doesNotMatch(error.message + String(error.cause), /hunter2/);
    }
    await assertFails(at(join(directory.path, 'missing')), 'credentials-unreadable');
  });
});
