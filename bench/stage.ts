/** What benches work on: the local image store, a driver on directories of its own. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { randomText } from '../src/base/ids.ts';
import { parseConfig } from '../src/config/config.ts';
import { readEnvironment } from '../src/config/env.ts';
import { createImageStore, type ImageStore } from '../src/images/image-store.ts';
import type { Image } from '../src/model/image.ts';
import type { RuntimeDriver } from '../src/runtime/driver.ts';
import { createOciDriver } from '../src/runtime/oci/driver.ts';

export interface Stage extends AsyncDisposable {
  readonly driver: RuntimeDriver;
  readonly images: ImageStore;
  readonly python: Image;
}

export async function openStage(): Promise<Stage> {
  const config = parseConfig(readEnvironment());
  const images = createImageStore({ root: config.imagesDir ?? path.join(config.stateDir, 'images') });
  const python = await images.resolve('python');
  const install = randomText(8);
  const stateDir = await mkdtemp(path.join(tmpdir(), 'slipway-bench-'));
  const runtimeDir = `/run/slipway-bench-${install}`;
  const driver = await createOciDriver({
    install,
    starter: randomText(8),
    runtimeDir,
    stateDir,
    rootfs: (image) => images.rootfs(image),
    runtime: { name: 'runc', path: 'runc' },
    switchedOff: new Set(),
    workLoopThresholdBytes: config.workLoopThresholdBytes,
  });
  return {
    driver,
    images,
    python,
    async [Symbol.asyncDispose]() {
      await driver[Symbol.asyncDispose]();
      for (const directory of [stateDir, runtimeDir]) await rm(directory, { recursive: true, force: true });
    },
  };
}
