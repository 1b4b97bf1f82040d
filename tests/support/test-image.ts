/** The image that set-up made, from the store where it lies: what tests of real sandboxes boot from. */
import { join } from 'node:path';
import { parseConfig } from '../../src/config/config.ts';
import { readEnvironment } from '../../src/config/env.ts';
import { createImageStore } from '../../src/images/image-store.ts';
import type { TestImage } from './driver.ts';

/** @throws SlipwayError `image-not-found` where set-up has not run */
export async function openTestImage(name = 'python'): Promise<TestImage> {
  const config = parseConfig(readEnvironment());
  const store = createImageStore({ root: config.imagesDir ?? join(config.stateDir, 'images') });
  const image = await store.resolve(name);
  return { image, tree: await store.rootfs(image) };
}
