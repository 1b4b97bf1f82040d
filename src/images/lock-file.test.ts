import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { createTemporaryDirectory } from '../../tests/support/temporary-directory.ts';
import { isSlipwayError } from '../base/errors.ts';
import { lockFile } from './lock-file.ts';

test('a lock keeps others out until it is released, and sharing it does not', async () => {
  using directory = createTemporaryDirectory();
  const path = join(directory.path, 'lock');
  const cancel = new AbortController();
  {
    await using _first = await lockFile(path, { mode: 'shared' });
    await using _second = await lockFile(path, { mode: 'shared' });
    const third = lockFile(path, { onWait: () => cancel.abort(), signal: cancel.signal });
    await assert.rejects(third, (error) => isSlipwayError(error, 'lock-cancelled'));
  }
  await using _alone = await lockFile(path, { onWait: () => assert.fail('it was released') });
});
