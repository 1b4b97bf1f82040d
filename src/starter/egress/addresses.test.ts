import assert from 'node:assert/strict';
import { networkInterfaces } from 'node:os';
import { describe, test } from 'node:test';
import { parseRule } from '../../model/egress.ts';
import { isPublic, mayConnect } from './addresses.ts';

const publicOnes = [
  '8.8.8.8',
  '1.1.1.1',
  '9.255.255.255',
  '11.0.0.0',
  '100.63.255.255',
  '100.128.0.0',
  '126.255.255.255',
  '128.0.0.0',
  '169.253.255.255',
  '169.255.0.0',
  '172.15.255.255',
  '172.32.0.0',
  '192.167.255.255',
  '192.169.0.0',
  '198.17.255.255',
  '198.20.0.0',
  '223.255.255.255',
  '2606:4700:4700::1111',
  '2a00:1450:4001:80b::200e',
  '2001:200::1',
];

const special = [
  '0.0.0.0',
  '0.1.2.3',
  '10.0.0.1',
  '10.255.255.255',
  '100.64.0.0',
  '100.100.100.200',
  '100.127.255.255',
  '127.0.0.1',
  '127.255.255.254',
  '168.63.129.16',
  '169.254.0.1',
  '169.254.169.254',
  '172.16.0.1',
  '172.31.255.255',
  '192.0.0.192',
  '192.0.2.1',
  '192.88.99.1',
  '192.168.0.1',
  '198.18.0.1',
  '198.19.255.255',
  '198.51.100.1',
  '203.0.113.1',
  '224.0.0.1',
  '239.255.255.255',
  '240.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  '::127.0.0.1', // IPv4-compatible
  '::ffff:127.0.0.1',
  '::ffff:8.8.8.8', // mapped: refused even where the address inside is public
  '::ffff:7f00:1',
  '::ffff:0:127.0.0.1', // translated (SIIT)
  '64:ff9b::7f00:1', // NAT64
  '64:ff9b::8.8.8.8',
  '64:ff9b:1::1',
  '100::1', // discard only
  '2001::1', // Teredo
  '2001:0:4136:e378:8000:63bf:3fff:fdd2',
  '2001:10::1',
  '2001:20::1',
  '2001:db8::1',
  '2002:7f00:1::1', // 6to4 of 127.0.0.1
  '2002:808:808::1',
  '3fff::1',
  '4000::1',
  '5f00::1',
  'fc00::1',
  'fd00:ec2::254',
  'fe80::1',
  'fe80::1%lo',
  '2606:4700:4700::1111%lo',
  'fec0::1',
  'ff02::1',
  'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
  '',
  'localhost',
  '2130706433',
  '0x7f.0.0.1',
  '0177.0.0.1',
  '127.1',
];

describe('addresses', () => {
  for (const address of publicOnes) {
    test(`${address} is public`, () => assert.ok(isPublic(address) && mayConnect(address, [])));
  }

  for (const address of special) {
    test(`${JSON.stringify(address)} is not`, () => {
      assert.ok(!isPublic(address));
      assert.ok(!mayConnect(address, []));
    });
  }

  test('what the operator names is allowed, and only that', () => {
    const named = parseRule('a.b:1=10.1.2.0/24+169.254.169.254+fd00:1::/64+::1').networks;
    for (const address of ['10.1.2.0', '10.1.2.255', '169.254.169.254', 'fd00:1::9', '::1'])
      assert.ok(mayConnect(address, named), address);
    for (const address of [
      '10.1.3.0',
      '169.254.169.253',
      'fd00:2::9',
      '127.0.0.1',
      '::ffff:10.1.2.1',
      '::ffff:a01:201',
      'fd00:1::9%lo',
      '64:ff9b::a01:201',
    ])
      assert.ok(!mayConnect(address, named), address);
  });

  test('no address of this host, unless it is named', () => {
    const own = Object.values(networkInterfaces()).flatMap((ones) => (ones ?? []).map((one) => one.address));
    assert.ok(own.length > 0);
    for (const address of own) assert.ok(!mayConnect(address, []), address);
  });
});
