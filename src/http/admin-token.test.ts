import assert from 'node:assert/strict';
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { createTemporaryDirectory } from '../../tests/support/temporary-directory.ts';
import { systemClock } from '../base/clock.ts';
import { isSlipwayError } from '../base/errors.ts';
import { createSqliteStore } from '../store/sqlite/sqlite-store.ts';
import { ensureAdminToken } from './admin-token.ts';
import { createTokenSecret, hashToken, isTokenSecret } from './token.ts';

test('the first start writes a token that the store accepts, and later starts keep it', async () => {
  using directory = createTemporaryDirectory();
  await using store = await createSqliteStore({
    path: path.join(directory.path, 's.db'),
    clock: systemClock,
  });
  const file = path.join(directory.path, 'control', 'admin-token');
  assert.deepEqual(await ensureAdminToken(store, file, systemClock), { created: true });
  const secret = readFileSync(file, 'utf8').trim();
  assert.ok(isTokenSecret(secret));
  assert.equal(statSync(file).mode & 0o777, 0o600);
  const found = await store.findByTokenHash(hashToken(secret));
  assert.equal(found?.principal.name, 'admin');
  assert.equal(found.principal.role, 'operator');
  assert.deepEqual(await ensureAdminToken(store, file, systemClock), { created: false });
  assert.equal(readFileSync(file, 'utf8').trim(), secret);
});

test('a lost, damaged or foreign token is replaced, for the same operator', async () => {
  using directory = createTemporaryDirectory();
  await using store = await createSqliteStore({
    path: path.join(directory.path, 's.db'),
    clock: systemClock,
  });
  const file = path.join(directory.path, 'admin-token');
  await ensureAdminToken(store, file, systemClock);
  const first = await store.findByTokenHash(hashToken(readFileSync(file, 'utf8').trim()));
  const spoil = [
    () => rmSync(file),
    () => writeFileSync(file, ''),
    () => writeFileSync(file, 'slw_short'),
    () => writeFileSync(file, createTokenSecret()),
  ];
  for (const damage of spoil) {
    damage();
    assert.deepEqual(await ensureAdminToken(store, file, systemClock), { created: true });
    const found = await store.findByTokenHash(hashToken(readFileSync(file, 'utf8').trim()));
    assert.equal(found?.principal.id, first?.principal.id);
  }
});

test('a file that cannot be written is said so, and works once it can', async () => {
  using directory = createTemporaryDirectory();
  await using store = await createSqliteStore({
    path: path.join(directory.path, 's.db'),
    clock: systemClock,
  });
  writeFileSync(path.join(directory.path, 'control'), 'in the way');
  const file = path.join(directory.path, 'control', 'admin-token');
  await assert.rejects(
    () => ensureAdminToken(store, file, systemClock),
    (error) => isSlipwayError(error, 'admin-token-unwritable'),
  );
  rmSync(path.join(directory.path, 'control'));
  assert.deepEqual(await ensureAdminToken(store, file, systemClock), { created: true });
});
