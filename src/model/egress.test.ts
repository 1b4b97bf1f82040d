import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isSlipwayError } from '../base/errors.ts';
import {
  assertEgressAllowed,
  covers,
  formatTarget,
  isCanonicalHost,
  parseHost,
  parseRule,
  parseTarget,
} from './egress.ts';

const isBad = (error: unknown) => isSlipwayError(error, 'bad-egress');

describe('hosts', () => {
  const canonical: readonly (readonly [string, string])[] = [
    ['example.org', 'example.org'],
    ['EXAMPLE.Org.', 'example.org'],
    ['xn--bcher-kva.example', 'xn--bcher-kva.example'],
    ['_dmarc.a-b.example', '_dmarc.a-b.example'],
    ['localhost', 'localhost'],
    ['192.0.2.1', '192.0.2.1'],
    ['192.0.2.1.', '192.0.2.1'],
    ['[2001:DB8:0:0::0001]', '2001:db8::1'],
    ['2001:db8::1', '2001:db8::1'],
    ['[::ffff:127.0.0.1]', '::ffff:7f00:1'],
    ['0x7f.example', '0x7f.example'],
  ];
  for (const [text, host] of canonical) {
    test(`${text} is ${host}`, () => assert.equal(parseHost(text), host));
  }

  const refused = [
    '',
    '.',
    '..',
    'a..b',
    '.a',
    '2130706433', // 127.0.0.1 as one number
    '0x7f000001',
    '0X7F000001',
    '017700000001',
    '127.1',
    '127.0.1',
    '0177.0.0.1',
    '0x7f.0.0.1',
    '0x7f.0.0.0x1',
    '127.0.0.01',
    '127.0.0.256',
    '1.2.3.4.5',
    'example.1',
    'example.0x',
    '[::1',
    '::1]',
    '[fe80::1%eth0]',
    'fe80::1%25eth0',
    '[127.0.0.1]',
    '[v1.x]',
    'exa mple.org',
    'example.org\r\n',
    'example.org\0',
    'user@example.org',
    'example.org/x',
    'example.org:443',
    'example%2eorg',
    'bücher.example',
    '１２７.0.0.1',
    '127。0。0。1',
    '-a.example',
    'a-.example',
    `${'a'.repeat(64)}.example`,
    `${'a.'.repeat(127)}example`,
    '*.example.org',
  ];
  for (const text of refused) {
    test(`${JSON.stringify(text.slice(0, 40))} is none`, () => assert.throws(() => parseHost(text), isBad));
  }

  test('canonical spellings are themselves, others are not', () => {
    assert.ok(['a.b', '*.a.b', '2001:db8::1', '192.0.2.1'].every(isCanonicalHost));
    assert.ok(!['A.b', 'a.b.', '[::1]', '*.192.0.2.1', '0:0:0:0:0:0:0:1'].some(isCanonicalHost));
  });
});

describe('targets and rules', () => {
  test('are read as they are written', () => {
    for (const text of ['example.org:443', '*.example.org:80', '192.0.2.1:1', '[2001:db8::1]:65535']) {
      assert.equal(formatTarget(parseTarget(text)), text);
    }
  });

  for (const text of [
    'a',
    'a:',
    ':1',
    'a:0',
    'a:01',
    'a:65536',
    'a:1:2',
    '::1:80',
    '*:80',
    '*.:80',
    'a.*:1',
  ]) {
    test(`${text} is no target`, () => assert.throws(() => parseTarget(text), isBad));
  }

  test('a rule names networks, and an address names itself', () => {
    assert.deepEqual(parseRule('tables.internal:443=10.1.2.0/24+fd00:1::5').networks, [
      { address: '10.1.2.0', prefix: 24, family: 'ipv4' },
      { address: 'fd00:1::5', prefix: 128, family: 'ipv6' },
    ]);
    assert.deepEqual(parseRule('[::1]:443').networks, [{ address: '::1', prefix: 128, family: 'ipv6' }]);
    assert.deepEqual(parseRule('example.org:443').networks, []);
  });

  for (const networks of [
    '',
    'a.b',
    '10.0.0.0/33',
    '10.0.0.0/',
    '10.0.0.0/8/8',
    '::/129',
    '10.0.0.0/-1',
    '10.1',
  ]) {
    test(`a rule with ${JSON.stringify(networks)} is refused`, () => {
      assert.throws(() => parseRule(`a.b:1=${networks}`), isBad);
    });
  }

  const cases: readonly (readonly [string, string, boolean])[] = [
    ['a.example:443', 'a.example:443', true],
    ['a.example:443', 'a.example:80', false],
    ['a.example:443', 'b.a.example:443', false],
    ['*.example:443', 'a.example:443', true],
    ['*.example:443', 'b.a.example:443', true],
    ['*.example:443', 'example:443', false],
    ['*.example:443', 'aexample:443', false],
    ['*.example:443', '*.a.example:443', true],
    ['*.a.example:443', '*.example:443', false],
    ['a.example:443', '*.example:443', false],
    ['[::1]:443', '[0:0::1]:443', true],
  ];
  for (const [rule, target, expected] of cases) {
    test(`${rule} ${expected ? 'covers' : 'does not cover'} ${target}`, () => {
      assert.equal(covers(parseTarget(rule), parseTarget(target)), expected);
    });
  }

  test('what no rule covers is refused by name, with the setting', () => {
    const rules = [parseRule('a.example:443')];
    assertEgressAllowed([parseTarget('a.example:443')], rules);
    assertEgressAllowed([], []);
    assert.throws(
      () => assertEgressAllowed([parseTarget('a.example:443'), parseTarget('b.example:80')], rules),
      (error) =>
        isSlipwayError(error, 'egress-not-allowed') &&
        /b\.example:80.*a\.example:443.*SLIPWAY_EGRESS/.test(error.message),
    );
  });
});
