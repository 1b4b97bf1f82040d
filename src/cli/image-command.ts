/** `slipway image …` (image.ts) as a command of this program: with its streams, settings and Ctrl-C. */
import type { Command } from 'commander';
import { imagesDir } from '../config/images-dir.ts';
import { createImageStore } from '../images/image-store.ts';
import type { CliContext } from './context.ts';
import { serviceUrl } from './context.ts';
import { imagesOfRuns } from './image/images-of-runs.ts';
import { createImageCommand } from './image.ts';

const serviceTimeoutMs = 10_000;
export function addImageCommand(program: Command, context: CliContext): void {
  const { io } = context;
  const getStore = () => createImageStore({ root: imagesDir(context.config) });
  const interrupted = new AbortController();
  const command = createImageCommand(getStore, {
    hostEnv: io.env,
    signal: interrupted.signal,
    out: io.stdout,
    err: io.stderr,
    getPolicy: () => ({ registries: context.config.registries, keysDir: context.config.imageKeysDir }),
    getNeeded: async () =>
      imagesOfRuns(await context.client(serviceUrl(context.config)), AbortSignal.timeout(serviceTimeoutMs)),
  });
  inheritSettings(command, program);
  let listening: Disposable | undefined;
  command.hook('preAction', () => {
    listening = io.onStop(() => interrupted.abort());
  });
  command.hook('postAction', () => listening?.[Symbol.dispose]());
  program.addCommand(command);
}

function inheritSettings(command: Command, parent: Command): void {
  command.copyInheritedSettings(parent);
  for (const child of command.commands) inheritSettings(child, command);
}
