import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isSlipwayError } from '../../base/errors.ts';
import { assertAllowed } from './registry-policy.ts';
import { formatReference, isLocalRegistry, parseRegistryReference } from './registry-reference.ts';
import { accessOptions } from './skopeo.ts';

const digest = `sha256:${'0123456789abcdef'.repeat(4)}` as const;

describe('parseRegistryReference', () => {
  it('reads names as Docker does', () => {
    const cases = {
      python: ['docker.io', 'library/python', 'latest'],
      'team/tools:1.2': ['docker.io', 'team/tools', '1.2'],
      'localhost/x': ['localhost', 'x', 'latest'],
      '127.0.0.1:5000/team/tools:1': ['127.0.0.1:5000', 'team/tools', '1'],
      '[::1]:5000/x': ['[::1]:5000', 'x', 'latest'],
      'Registry.example.com/a__b/c-d:v1': ['Registry.example.com', 'a__b/c-d', 'v1'],
    };
    for (const [text, [registry, repository, tag]] of Object.entries(cases)) {
      assert.deepEqual(parseRegistryReference(text), { registry, repository, tag }, text);
    }
    const pinned = parseRegistryReference(`x.example/tool@${digest}`);
    assert.deepEqual(pinned, {
      registry: 'x.example',
      repository: 'tool',
      tag: 'sha256-0123456789ab',
      digest,
    });
    assert.equal(parseRegistryReference(`x.example/tool:2@${digest}`).tag, '2');
    assert.equal(formatReference(pinned), `x.example/tool@${digest}`);
  });

  it('refuses everything else', () => {
    for (const text of [
      '',
      'UPPER',
      'a b',
      'x/../y',
      'x//y',
      '/x',
      'x.example/',
      '-x',
      'x:',
      'x:a b',
      'x@sha256:12',
      `x@${digest}@${digest}`,
      'https://x.example/y',
      'x.example/y\n--all',
      '--all',
      `x.example/${'y'.repeat(300)}`,
    ]) {
      const bad = () => parseRegistryReference(text);
      assert.throws(bad, (error) => isSlipwayError(error, 'bad-image-name'), text);
    }
  });
});

describe('the allow-list', () => {
  const allows = (registries: string[], name: string) => {
    try {
      assertAllowed(parseRegistryReference(name), { registries });
      return true;
    } catch (error) {
      assert.ok(isSlipwayError(error, 'registry-not-allowed'));
      return false;
    }
  };

  it('takes whole parts of names', () => {
    assert.ok(allows(['docker.io/library'], 'python'));
    assert.ok(allows(['x.example'], 'x.example/a/b:1'));
    assert.ok(allows(['a.example', 'x.example/a/b'], `x.example/a/b@${digest}`));
    assert.ok(!allows([], 'localhost/x'));
    assert.ok(!allows(['x.example'], 'x.example.evil/a'));
    assert.ok(!allows(['x.example'], 'x.example:5000/a'));
    assert.ok(!allows(['x.example/a'], 'x.example/ab'));
    assert.ok(!allows(['docker.io/library'], 'evil/python'));
  });
});

describe('plain HTTP', () => {
  it('is spoken with this machine alone', () => {
    for (const [name, isLocal] of Object.entries({
      'localhost:5000/x': true,
      '127.0.0.1/x': true,
      '127.8.9.10:5000/x': true,
      '[::1]:5000/x': true,
      'x.example/x': false,
      '10.0.0.1:5000/x': false,
      '127.0.0.1.example/x': false,
      'localhost.example/x': false,
      python: false,
    })) {
      const reference = parseRegistryReference(name);
      assert.equal(isLocalRegistry(reference), isLocal, name);
      assert.deepEqual(accessOptions(reference, 'src-', false), [
        `--src-tls-verify=${!isLocal}`,
        '--src-no-creds',
      ]);
    }
    const options = accessOptions(parseRegistryReference('x.example/x'), '', true);
    assert.deepEqual(options, ['--tls-verify=true', '--authfile', 'auth.json']);
  });
});
