import assert from 'node:assert/strict';
import { test } from 'node:test';
import { patchState } from './known-holes.ts';

test('an old runc with a hole that matters is not patched', () => {
  const { patched, detail } = patchState('runc', '1.1.5');
  assert.equal(patched, false);
  assert.match(detail, /CVE-2024-21626/);
});

test("Debian's patched build of the same version is, and the holes that do not matter are named", () => {
  const { patched, detail } = patchState('runc', '1.1.5+ds1-1+deb12u1');
  assert.equal(patched, true);
  assert.doesNotMatch(detail, /CVE-2024-21626/);
  assert.match(detail, /CVE-2025-31133 .*\/dev/);
});

test('fixes count within their own series', () => {
  for (const version of ['1.3.6', '1.4.3', '1.5.0', '1.6.0', '2.0.0']) {
    assert.match(patchState('runc', version).detail, /all known holes/, version);
  }
  for (const version of ['1.3.5', '1.4.2', '1.2.99', '1.5.0-rc.1']) {
    assert.match(patchState('runc', version).detail, /CVE-2026-41579/, version);
  }
  assert.doesNotMatch(patchState('runc', '1.2.8').detail, /CVE-2025-31133/);
});

test('about other runtimes nothing is claimed', () => {
  assert.match(patchState('crun', '1.8.1').detail, /no list of holes for crun/);
});
