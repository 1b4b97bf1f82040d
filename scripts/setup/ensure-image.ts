/**
 * Set-up's last step: `node ensure-image.ts NAME` makes one of our own images unless the store has it. Silent
 * when nothing is to do; progress and failures go to stderr.
 */
import { join } from 'node:path';
import { messageOf } from '../../src/base/errors.ts';
import { parseConfig } from '../../src/config/config.ts';
import { readEnvironment } from '../../src/config/env.ts';
import { ensureImage, isImageCurrent } from '../../src/images/build/ensure-image.ts';
import { createImageStore } from '../../src/images/image-store.ts';

const projectRoot = join(import.meta.dirname, '..', '..');
const quietMs = 5000;

async function main(name: string): Promise<void> {
  const hostEnv = readEnvironment();
  const config = parseConfig(hostEnv);
  const store = createImageStore({ root: config.imagesDir ?? join(config.stateDir, 'images') });
  if (await isImageCurrent(store, name, projectRoot)) return;
  const started = performance.now();
  say(`→ image ${name}: this takes some minutes`);
  const image = await ensureImage(store, name, {
    projectRoot,
    hostEnv,
    policy: { registries: config.registries, keysDir: config.imageKeysDir },
    progress: progressLine(),
  });
  for (const note of image.notes) say(`  note: ${note}`);
  say(`✓ image ${name} (${((performance.now() - started) / 1000).toFixed(1)} s)`);
}

/** A build says thousands of lines: every step is shown, of the rest one now and then. */
function progressLine(): (line: string) => void {
  let shownAt = 0;
  return (line) => {
    const now = performance.now();
    if (!line.startsWith('STEP ') && now - shownAt < quietMs) return;
    shownAt = now;
    say(`  ${line.trim().slice(0, 160)}`);
  };
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

main(process.argv[2] ?? 'python').catch((error: unknown) => {
  say(`✗ ${messageOf(error)}`);
  process.exitCode = 1;
});
