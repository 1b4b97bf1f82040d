import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { createTemporaryDirectory } from '../../../tests/support/temporary-directory.ts';
import { isSlipwayError } from '../../base/errors.ts';
import { defaultImageUser } from '../../model/image.ts';
import { resolveUser } from './image-user.ts';

const passwd = [
  'root:x:0:0:root:/root:/bin/bash',
  'app:x:1000:1001:App:/home/app:/bin/sh',
  'web:x:33:33::/var/../etc:/bin/sh',
  'rooted:x:500:0::/home/rooted:/bin/sh',
  'toor:x:0:0::/root:/bin/sh',
  'broken line',
  'huge:x:4294967295:1::/home/huge:/bin/sh',
  '12:x:1212:1212::/home/twelve:/bin/sh',
].join('\n');
const group = ['root:x:0:app', 'app:x:1001:', 'data:x:2000:app,web', 'more:x:2001:app', 'bad:x:y:app'].join(
  '\n',
);

function image(): Disposable & { root: string } {
  const directory = createTemporaryDirectory();
  mkdirSync(join(directory.path, 'etc'));
  writeFileSync(join(directory.path, 'etc', 'passwd'), passwd);
  writeFileSync(join(directory.path, 'etc', 'group'), group);
  return { root: directory.path, [Symbol.dispose]: () => directory[Symbol.dispose]() };
}

describe('resolveUser', () => {
  it('turns every form of root into the unprivileged default', () => {
    using it = image();
    for (const user of ['', 'root', '0', '0:0', 'root:app', 'toor', ':1000']) {
      assert.deepEqual(resolveUser(it.root, user), defaultImageUser, user);
    }
  });

  it('resolves names and numbers, with the groups of the account and without group 0', () => {
    using it = image();
    const app = { uid: 1000, gid: 1001, groups: [2000, 2001], name: 'app', home: '/home/app' };
    assert.deepEqual(resolveUser(it.root, 'app'), app);
    assert.deepEqual(resolveUser(it.root, '1000'), app);
    assert.deepEqual(resolveUser(it.root, 'app:data'), {
      uid: 1000,
      gid: 2000,
      name: 'app',
      home: '/home/app',
    });
    assert.deepEqual(resolveUser(it.root, '1000:7').gid, 7);
    assert.deepEqual(resolveUser(it.root, '4711'), { uid: 4711, gid: 65532, home: '/home/slipway' });
    assert.equal(resolveUser(it.root, 'rooted').gid, 65532);
    assert.equal(resolveUser(it.root, 'app:0').gid, 65532);
  });

  it('takes a name that looks like a number for a name first', () => {
    using it = image();
    assert.equal(resolveUser(it.root, '12').uid, 1212);
  });

  it('refuses what is neither an account nor a number', () => {
    using it = image();
    for (const user of ['nobody', 'app:staff', '70000', '-1', '1e3', 'huge', '../app', 'a'.repeat(10_000)]) {
      assert.throws(
        () => resolveUser(it.root, user),
        (error) => isSlipwayError(error, 'image-user-unknown'),
        user,
      );
    }
  });

  it('does not use a home that could not be mounted over safely', () => {
    using it = image();
    assert.equal(resolveUser(it.root, 'web').home, '/home/slipway');
    mkdirSync(join(it.root, 'home'));
    symlinkSync('/proc/self', join(it.root, 'home', 'app'));
    assert.equal(resolveUser(it.root, 'app').home, '/home/slipway');
  });

  it('reads the files of the image, never those of the host', () => {
    using outside = createTemporaryDirectory();
    writeFileSync(join(outside.path, 'passwd'), 'spy:x:1234:1234::/home/spy:/bin/sh');
    const withPasswdAt = (target: string) => {
      const linked = image();
      writeFileSync(join(linked.root, 'other'), 'inside:x:1235:1235::/home/inside:/bin/sh');
      unlinkSync(join(linked.root, 'etc', 'passwd'));
      symlinkSync(target, join(linked.root, 'etc', 'passwd'));
      return linked;
    };
    using inside = withPasswdAt('/other');
    assert.equal(resolveUser(inside.root, 'inside').uid, 1235);
    using leading = withPasswdAt(join(outside.path, 'passwd'));
    assert.throws(
      () => resolveUser(leading.root, 'spy'),
      (error) => isSlipwayError(error, 'image-user-unknown'),
    );
  });
});
