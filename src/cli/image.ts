/**
 * `slipway image …`: the operator's hand on the image store; one file for each group of subcommands in image/.
 * Results go to standard output (JSON with `--json`), progress to standard error.
 */
import { Command } from 'commander';
import type { ImageStore } from '../images/image-store.ts';
import { addBuild } from './image/build.ts';
import { type ImageCommandOptions, toImageContext } from './image/context.ts';
import { addExport, addImport } from './image/files.ts';
import { addGc, addRemove } from './image/remove.ts';
import { addList, addShow, addVerify } from './image/show.ts';
import { addPull, addPush } from './image/transfer.ts';

const subcommands = [
  addBuild,
  addImport,
  addPull,
  addList,
  addShow,
  addExport,
  addPush,
  addVerify,
  addRemove,
  addGc,
];

/** @param getStore called when a subcommand runs, so that help needs no store */
export function createImageCommand(getStore: () => ImageStore, options: ImageCommandOptions): Command {
  const context = toImageContext(getStore, options);
  const command = new Command('image').description('images that sandboxes boot from');
  for (const add of subcommands) add(command, context);
  // `slipway --json image list` means the same; and the program above takes a --json behind the command for its own.
  command.hook('preAction', (_, subcommand) => {
    subcommand.setOptionValue('json', subcommand.optsWithGlobals()['json']);
  });
  return command;
}
