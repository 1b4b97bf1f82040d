import { join } from 'node:path';
import { systemClock } from '../../src/base/clock.ts';
import { createSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';
import { testStore } from './store.ts';

testStore('sqlite', async () => {
  const directory = createTemporaryDirectory();
  const path = join(directory.path, 'state', 'slipway.db');
  return {
    open: () => createSqliteStore({ path, clock: systemClock }),
    [Symbol.asyncDispose]: async () => directory[Symbol.dispose](),
  };
});
