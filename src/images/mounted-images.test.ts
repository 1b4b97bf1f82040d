import assert from 'node:assert/strict';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { createTemporaryDirectory } from '../../tests/support/temporary-directory.ts';
import { mountedImages } from './mounted-images.ts';

const a = 'a'.repeat(64);
const b = 'b'.repeat(64);
const line = (root: string) =>
  `436 29 254:1 ${root} /run/slipway/views/x ro,nosuid,idmapped - ext4 /dev/vda1 rw\n`;

describe('mountedImages', () => {
  it('finds trees in every mount namespace, also while they are being removed', async () => {
    using directory = createTemporaryDirectory();
    const process = (pid: string, namespace: string, table: string) => {
      mkdirSync(join(directory.path, pid, 'ns'), { recursive: true });
      symlinkSync(namespace, join(directory.path, pid, 'ns', 'mnt'));
      writeFileSync(join(directory.path, pid, 'mountinfo'), table);
    };
    process('1', 'mnt:[1]', line('/'));
    process('20', 'mnt:[2]', line(`/var/lib/slipway/images/unpacked/${a}/rootfs`));
    process('21', 'mnt:[2]', line(`/unpacked/${'c'.repeat(64)}/rootfs`));
    process('30', 'mnt:[3]', line(`/images/scratch/1.2.3/removed.${b}/rootfs`));
    process('40', 'mnt:[4]', line(`/images/unpacked/${'d'.repeat(64)}/rootfs.other`));
    mkdirSync(join(directory.path, '50'));
    assert.deepEqual([...(await mountedImages(directory.path))].sort(), [`sha256:${a}`, `sha256:${b}`]);
  });
});
