/** What every Blobs does. Run once per implementation (blobs-local.test.ts). */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import fc from 'fast-check';
import { readBytes } from '../../src/base/bytes.ts';
import { digestOf } from '../../src/base/digest.ts';
import type { Blobs } from '../../src/store/blobs.ts';
import { assertFails } from '../support/assert-fails.ts';

/** Where blobs outlive the object that gives access to them. */
export interface BlobPlace extends AsyncDisposable {
  open(): Promise<Blobs>;
}

const maxBytes = 1_000_000;

export function testBlobs(name: string, createPlace: () => Promise<BlobPlace>): void {
  describe(`blobs: ${name}`, () => {
    let resources = new AsyncDisposableStack();
    let place: BlobPlace;
    let blobs: Blobs;
    beforeEach(async () => {
      place = resources.use(await createPlace());
      blobs = await place.open();
    });
    afterEach(async () => {
      await resources.disposeAsync();
      resources = new AsyncDisposableStack();
    });
    const read = (...ask: Parameters<Blobs['get']>) => readBytes(blobs.get(...ask), maxBytes);

    it('keeps any content under its digest', async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 300 })), async (pieces) => {
          const whole = Buffer.concat(pieces);
          const stored = await blobs.put(stream(...pieces), { maxBytes });
          assert.deepEqual(stored, { digest: digestOf(whole), sizeBytes: whole.length });
          assert.deepEqual(await read(stored.digest), whole);
          assert.equal(await blobs.size(stored.digest), whole.length);
        }),
        { numRuns: 50 },
      );
    });

    it('reads any range', async () => {
      const whole = Buffer.from(Array.from({ length: 1000 }, (_, i) => i % 251));
      const { digest } = await blobs.put(stream(whole), { maxBytes });
      const bound = fc.integer({ min: 0, max: 1100 });
      await fc.assert(
        fc.asyncProperty(bound, bound, async (start, end) => {
          assert.deepEqual(await read(digest, { start, end }), whole.subarray(start, Math.max(start, end)));
        }),
        { numRuns: 50 },
      );
    });

    it('has it again after it was opened anew', async () => {
      const { digest } = await blobs.put(stream('again'), { maxBytes });
      assert.equal(String(await readBytes((await place.open()).get(digest), maxBytes)), 'again');
    });

    it('refuses more than was allowed, and keeps nothing', async () => {
      await blobs.put(stream('12', '345'), { maxBytes: 5 });
      const refused = await assertFails(blobs.put(stream('12', '3456'), { maxBytes: 5 }), 'blob-too-large');
      assert.equal(refused.kind, 'too-large');
      assert.equal(await blobs.size(digestOf('123456')), undefined);
    });

    it('refuses another content than was expected, and keeps nothing', async () => {
      const expected = digestOf('right');
      await blobs.put(stream('right'), { maxBytes, expected });
      await assertFails(blobs.put(stream('wrong'), { maxBytes, expected }), 'digest-mismatch');
      assert.equal(await blobs.size(digestOf('wrong')), undefined);
    });

    it('keeps nothing of a stream that fails, and passes its error on', async () => {
      const failure = new Error('the peer went away');
      async function* broken() {
        yield Buffer.from('half');
        throw failure;
      }
      await assert.rejects(blobs.put(broken(), { maxBytes }), (error) => error === failure);
      assert.equal(await blobs.size(digestOf('half')), undefined);
    });

    it('knows nothing of what is not there', async () => {
      const digest = digestOf('nowhere');
      assert.equal(await blobs.size(digest), undefined);
      await assertFails(read(digest), 'blob-not-found');
      await assertFails(read(digest, { start: 0, end: 1 }), 'blob-not-found');
      await assertFails(read(digest, { start: 1, end: 1 }), 'blob-not-found');
      await blobs.delete(digest);
    });

    it('deletes', async () => {
      const { digest } = await blobs.put(stream('x'), { maxBytes });
      await blobs.delete(digest);
      await blobs.delete(digest);
      assert.equal(await blobs.size(digest), undefined);
    });

    it('stores the same content many times at once, while it is read', async () => {
      const content = Buffer.alloc(200_000, 'slipway');
      const { digest } = await blobs.put(stream(content), { maxBytes });
      const puts = Array.from({ length: 10 }, () => blobs.put(stream(content), { maxBytes }));
      const reads = Array.from({ length: 10 }, () => read(digest));
      for (const stored of await Promise.all(puts)) assert.equal(stored.digest, digest);
      for (const found of await Promise.all(reads)) assert.ok(found.equals(content));
    });

    it('lets a reader go before the end', async () => {
      const { digest } = await blobs.put(stream(Buffer.alloc(500_000)), { maxBytes });
      for await (const piece of blobs.get(digest)) {
        assert.ok(piece.length > 0);
        break;
      }
    });
  });
}

async function* stream(...pieces: (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const piece of pieces) yield Buffer.from(piece);
}
