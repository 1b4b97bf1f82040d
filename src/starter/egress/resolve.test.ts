import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSystemResolver } from './resolve.ts';

const never = new AbortController().signal;

test('names are resolved by the host, many of them at once', async () => {
  const resolve = createSystemResolver();
  const found = await Promise.all(Array.from({ length: 20 }, () => resolve('localhost', never)));
  for (const addresses of found) assert.ok(addresses.every((one) => ['127.0.0.1', '::1'].includes(one)));
  assert.ok(found.every((addresses) => addresses.length > 0));
});

test('a name without an address is an error, and the next one is looked up all the same', async () => {
  const resolve = createSystemResolver();
  const names = Array.from({ length: 5 }, (_, i) => `no..${i}`);
  const ends = await Promise.allSettled(names.map((name) => resolve(name, never)));
  assert.deepEqual(new Set(ends.map((end) => end.status)), new Set(['rejected']));
  assert.ok((await resolve('localhost', never)).length > 0);
});

test('who gives up gives no turn away', async () => {
  const resolve = createSystemResolver();
  const gone = AbortSignal.abort();
  const mixed = Array.from({ length: 12 }, (_, i) => resolve('localhost', i % 2 === 0 ? gone : never));
  const ends = await Promise.allSettled(mixed);
  assert.equal(ends.filter((end) => end.status === 'fulfilled').length, 6);
  assert.ok((await resolve('localhost', never)).length > 0);
});
