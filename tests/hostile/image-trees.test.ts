/** Images that were prepared to lead a runtime's mounts astray (CVE-2026-41579, CVE-2021-30465 and relatives). */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { isSlipwayError } from '../../src/base/errors.ts';
import { createTestDriver, type TestDriver, type TestImage } from '../support/driver.ts';
import { patience, specOf } from '../support/run-sandbox.ts';
import { openTestImage } from '../support/test-image.ts';

const mountPoints = ['dev', 'proc', 'tmp', 'work', 'data', 'home', 'home/slipway'];

describe('image trees', () => {
  let trees = '';
  let from: TestImage;
  before(async () => {
    trees = mkdtempSync(join(tmpdir(), 'slipway-trees-'));
    from = await openTestImage();
  });
  after(() => rmSync(trees, { recursive: true, force: true }));

  /** A tree with all mount points and nothing else. */
  function plainTree(name: string): string {
    const tree = join(trees, name.replaceAll('/', '_'));
    for (const point of [...mountPoints, 'code', 'sys', 'etc'])
      mkdirSync(join(tree, point), { recursive: true });
    return tree;
  }

  async function create(tree: string): Promise<void> {
    await using made: TestDriver = await createTestDriver({ image: from.image, tree });
    await using _sandbox = await made.driver.create(
      specOf({ image: from.image, argv: ['true'] }),
      patience(),
    );
  }

  test('the control: a tree with plain directories is accepted', async () => {
    await create(plainTree('control'));
  });

  for (const point of mountPoints) {
    for (const [what, make] of [
      ['a link to the root', (at: string) => symlinkSync('/', at)],
      ['a link upwards', (at: string) => symlinkSync('../../../../etc', at)],
      ['a link to itself', (at: string) => symlinkSync(at, at)],
      ['a file', (at: string) => writeFileSync(at, '')],
      ['absent', () => undefined],
    ] as const) {
      test(`/${point} is ${what}: refused`, async () => {
        const tree = plainTree(`${point}-${what}`);
        rmSync(join(tree, point), { recursive: true });
        make(join(tree, point));
        await assert.rejects(create(tree), (error) => isSlipwayError(error, 'image-unfit'));
      });
    }
  }

  test('/dev/shm, /dev/null and /proc/self of the image are never used', async () => {
    const tree = plainTree('inner');
    mkdirSync(join(tree, 'dev/shm'));
    symlinkSync('/proc/self/mem', join(tree, 'dev/null'));
    symlinkSync('/etc', join(tree, 'proc/self'));
    cpSync(join(tree, 'dev'), join(tree, 'etc/dev'), { recursive: true, verbatimSymlinks: true });
    await create(tree);
  });
});
