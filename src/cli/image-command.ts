/** `slipway image …` (image.ts) as a command of this program: with its streams, settings and Ctrl-C. */
import type { Command } from 'commander';
import { imagesDir } from '../config/images-dir.ts';
import { createImageStore } from '../images/image-store.ts';
import type { CliContext } from './context.ts';
import { createImageCommand } from './image.ts';

export function addImageCommand(program: Command, context: CliContext): void {
  const { io } = context;
  const getStore = () => createImageStore({ root: imagesDir(context.config) });
  const interrupted = new AbortController();
  const command = createImageCommand(getStore, {
    hostEnv: io.env,
    signal: interrupted.signal,
    out: io.stdout,
    err: io.stderr,
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
