import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { isSlipwayError } from '../base/errors.ts';
import { defaultCeilings, defaultLimits, limitNames } from '../model/limits.ts';
import { parseConfig } from './config.ts';
import { adminTokenPath, readClientToken } from './secrets.ts';
import { allSettings } from './settings.ts';

function messageFor(env: Record<string, string>): string {
  try {
    parseConfig(env);
  } catch (error) {
    assert.ok(isSlipwayError(error, 'bad-config'), String(error));
    return error.message;
  }
  return assert.fail('the configuration was accepted');
}

describe('parseConfig', () => {
  test('reads registries as prefixes with a host, and nothing else', () => {
    assert.deepEqual(parseConfig({}).registries, []);
    const text = 'x.example, x.example/team,localhost:5000,127.0.0.1:5000/a/b,x.example,';
    const wanted = ['x.example', 'x.example/team', 'localhost:5000', '127.0.0.1:5000/a/b'];
    assert.deepEqual(parseConfig({ SLIPWAY_REGISTRIES: text }).registries, wanted);
    for (const bad of [
      'python',
      'https://x.example',
      'x.example/a:1',
      'x.example//a',
      '*',
      'x.example/',
      '/x',
    ]) {
      assert.match(messageFor({ SLIPWAY_REGISTRIES: bad }), /is not a registry/, bad);
    }
  });

  test('without any variable gives the documented defaults', () => {
    const config = parseConfig({ PATH: '/bin', HOME: '/root' });
    assert.equal(config.stateDir, '/var/lib/slipway');
    assert.equal(config.runtimeDir, '/run/slipway');
    assert.deepEqual(config.listen, { kind: 'tcp', host: '127.0.0.1', port: 7070 });
    assert.equal(config.concurrency, availableParallelism());
    assert.equal(config.runtime, 'runc');
    assert.deepEqual(config.without, []);
    assert.deepEqual(config.defaultLimits, defaultLimits);
    assert.deepEqual(config.ceilings, defaultCeilings);
    assert.deepEqual(config.client, { url: undefined, token: undefined, tokenFile: undefined });
  });

  test('every default is a value that its own parser accepts', () => {
    for (const setting of allSettings)
      assert.doesNotThrow(() => setting.parse(setting.initial), setting.name);
  });

  test('reads what is set, with units', () => {
    const config = parseConfig({
      SLIPWAY_DEFAULT_MEMORY: '1gib',
      SLIPWAY_MAX_WALL_TIME: '2h',
      SLIPWAY_DEFAULT_CPUS: '0.5',
      SLIPWAY_WITHOUT: 'no-swap, cpu-limit,no-swap',
      SLIPWAY_LISTEN: '[::1]:0',
      SLIPWAY_CONCURRENCY: '7',
      SLIPWAY_RUNTIME: '/opt/bin/runsc',
      SLIPWAY_URL: 'http://localhost:7070/',
    });
    assert.equal(config.defaultLimits.memoryBytes, 1024 ** 3);
    assert.equal(config.ceilings.wallTimeMs, 7_200_000);
    assert.equal(config.defaultLimits.cpus, 0.5);
    assert.deepEqual(config.without, ['no-swap', 'cpu-limit']);
    assert.deepEqual(config.listen, { kind: 'tcp', host: '::1', port: 0 });
    assert.equal(config.concurrency, 7);
    assert.equal(config.runtime, '/opt/bin/runsc');
    assert.equal(config.client.url, 'http://localhost:7070');
  });

  test('an empty variable counts as unset', () => {
    assert.equal(parseConfig({ SLIPWAY_CONCURRENCY: '' }).concurrency, availableParallelism());
  });

  test('reports all mistakes together, each with its name and what to write', () => {
    const message = messageFor({
      SLIPWAY_STATE_DIR: 'here',
      SLIPWAY_DEFAULT_MEMORY: 'lots',
      SLIPWAY_CONCURENCY: '2',
      SLIPWAY_WITHOUT: 'secomp',
    });
    assert.match(message, /has 4 mistakes/);
    assert.match(message, /SLIPWAY_STATE_DIR: the path is not absolute\. Write an absolute path\./);
    assert.match(message, /SLIPWAY_DEFAULT_MEMORY: "lots" is not a size.*Write a size such as 512mb\./);
    assert.match(message, /SLIPWAY_CONCURENCY: there is no such setting\. Write SLIPWAY_CONCURRENCY,/);
    assert.match(message, /SLIPWAY_WITHOUT: "secomp" is none of .*seccomp/);
  });

  test('egress is nothing unless it is written, and every rule must be one', () => {
    assert.deepEqual(parseConfig({}).egress, []);
    assert.deepEqual(parseConfig({ SLIPWAY_EGRESS: 'a.example:443, *.b.example:80=10.0.0.0/8,' }).egress, [
      { host: 'a.example', port: 443, networks: [] },
      { host: '*.b.example', port: 80, networks: [{ address: '10.0.0.0', prefix: 8, family: 'ipv4' }] },
    ]);
    for (const rule of [
      '*',
      'a.example',
      'https://a.example:443',
      'a.example:443=b.example',
      '10.0.0.0/8:80',
    ])
      assert.match(messageFor({ SLIPWAY_EGRESS: rule }), /SLIPWAY_EGRESS: ".*example\.org:443/, rule);
  });

  test('refuses to listen where other machines could connect, and says why', () => {
    for (const listen of [
      '0.0.0.0:7070',
      '10.0.0.5:80',
      '[::]:7070',
      'example.org:1',
      '127.0.0.1.nip.io:1',
    ]) {
      assert.match(messageFor({ SLIPWAY_LISTEN: listen }), /not a loopback address.*TLS/, listen);
    }
    for (const listen of ['7070', 'localhost', '127.0.0.1:99999', '/run/../x\0', `/${'x'.repeat(120)}`]) {
      assert.match(messageFor({ SLIPWAY_LISTEN: listen }), /SLIPWAY_LISTEN/, listen);
    }
    assert.deepEqual(parseConfig({ SLIPWAY_LISTEN: '/run/slipway/http.sock' }).listen, {
      kind: 'unix',
      path: '/run/slipway/http.sock',
    });
  });

  test('a default that was written must be under its ceiling; an unwritten one follows it', () => {
    assert.equal(parseConfig({ SLIPWAY_MAX_MEMORY: '64mib' }).defaultLimits.memoryBytes, 64 * 1024 ** 2);
    const message = messageFor({ SLIPWAY_MAX_MEMORY: '64mib', SLIPWAY_DEFAULT_MEMORY: '65mib' });
    assert.match(message, /SLIPWAY_DEFAULT_MEMORY: it is more than SLIPWAY_MAX_MEMORY allows \(67108864\)/);
  });

  test('every limit has a default and a ceiling of a regular name', () => {
    const names = allSettings.map((setting) => setting.name);
    assert.equal(names.filter((name) => /^SLIPWAY_(DEFAULT|MAX)_/.test(name)).length, limitNames.length * 2);
    for (const name of ['SLIPWAY_DEFAULT_WALL_TIME', 'SLIPWAY_MAX_KEPT_OUTPUT', 'SLIPWAY_MAX_OPEN_FILES']) {
      assert.ok(names.includes(name), name);
    }
    assert.equal(new Set(names).size, names.length);
  });
});

describe('readClientToken', () => {
  test('presents the admin token to this machine only, and a named one anywhere', (t) => {
    const stateDir = mkdtempSync(path.join(tmpdir(), 'slipway-config-'));
    t.after(() => rmSync(stateDir, { recursive: true }));
    const config = parseConfig({ SLIPWAY_STATE_DIR: stateDir });
    assert.equal(readClientToken(config, 'http://127.0.0.1:7070'), undefined);
    mkdirSync(path.dirname(adminTokenPath(config)));
    writeFileSync(adminTokenPath(config), 'slw_admin\n', { mode: 0o600 });
    assert.equal(readClientToken(config, 'http://127.0.0.1:7070'), 'slw_admin');
    assert.equal(readClientToken(config, 'unix:/run/x.sock'), 'slw_admin');
    assert.equal(readClientToken(config, 'https://slipway.example.org'), undefined);
    const named = parseConfig({ SLIPWAY_STATE_DIR: stateDir, SLIPWAY_TOKEN: 'slw_mine' });
    assert.equal(readClientToken(named, 'https://slipway.example.org'), 'slw_mine');
    chmodSync(adminTokenPath(config), 0o600);
    const missing = parseConfig({ SLIPWAY_TOKEN_FILE: path.join(stateDir, 'none') });
    assert.throws(
      () => readClientToken(missing, 'http://127.0.0.1:7070'),
      (error) => isSlipwayError(error, 'token-unreadable'),
    );
  });
});
