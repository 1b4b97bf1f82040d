/** Where the `oci` driver may keep its things: a place that sandboxes cannot reach is refused at once. */
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { it } from 'node:test';
import { isSlipwayError } from '../../src/base/errors.ts';
import { createTestDriver } from '../support/driver.ts';
import { openTestImage } from '../support/test-image.ts';

it('refuses a runtime directory that sandboxes cannot enter, and names what is in the way', async () => {
  const above = mkdtempSync(path.join(tmpdir(), 'slipway-test-'));
  const runtimeDir = path.join(above, 'run');
  try {
    const image = await openTestImage();
    await assert.rejects(createTestDriver(image, { runtimeDir }), (error) => {
      assert.ok(isSlipwayError(error, 'runtime-dir-closed'));
      assert.match(error.message, new RegExp(`chmod o\\+x ${above}$`));
      return true;
    });
    chmodSync(above, 0o711);
    await using driver = await createTestDriver(image, { runtimeDir });
    assert.equal((await driver.run(['/bin/true'])).status.kind, 'exited');
  } finally {
    rmSync(above, { recursive: true, force: true });
  }
});
