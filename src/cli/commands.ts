/** The commands of `slipway`. A command's file is loaded only when the command line names it, so that all start fast. */
import type { Command } from 'commander';
import type { CliContext } from './context.ts';
import type { CliIo } from './io.ts';
import { addVersionCommand } from './version.ts';

export interface Surroundings {
  readonly io: CliIo;
  /** Loaded at the first call: it knows the configuration. */
  context(): Promise<CliContext>;
}

export interface CommandEntry {
  readonly name: string;
  /** Its line in `slipway --help`. */
  readonly summary: string;
  /** Loads the command and adds it to the program. */
  add(program: Command, around: Surroundings): Promise<void>;
}

export const commands: readonly CommandEntry[] = [
  {
    name: 'run',
    summary: 'run a script or a command in a sandbox',
    async add(program, around) {
      const { addRunCommand } = await import('./run/run-command.ts');
      addRunCommand(program, await around.context());
    },
  },
  {
    name: 'up',
    summary: 'start the service',
    async add(program, around) {
      const { addUpCommand } = await import('./up.ts');
      addUpCommand(program, await around.context());
    },
  },
  {
    name: 'start',
    summary: 'start the service and run the example in a sandbox',
    async add(program, around) {
      const { addStartCommand } = await import('./start.ts');
      addStartCommand(program, await around.context());
    },
  },
  {
    name: 'doctor',
    summary: 'say whether sandboxes can be made here, and which controls are on',
    async add(program, around) {
      const { addDoctorCommand } = await import('./doctor.ts');
      addDoctorCommand(program, await around.context());
    },
  },
  {
    name: 'image',
    summary: 'images that sandboxes boot from',
    async add(program, around) {
      const { addImageCommand } = await import('./image-command.ts');
      addImageCommand(program, await around.context());
    },
  },
  {
    name: 'runs',
    summary: 'list, show, follow and cancel the runs of a server',
    async add(program, around) {
      const { addRunsCommand } = await import('./runs.ts');
      addRunsCommand(program, await around.context());
    },
  },
  {
    name: 'token',
    summary: 'create, list and revoke the tokens of a server',
    async add(program, around) {
      const { addTokenCommand } = await import('./token.ts');
      addTokenCommand(program, await around.context());
    },
  },
  {
    name: 'version',
    summary: 'print the version',
    async add(program, { io }) {
      addVersionCommand(program, io);
    },
  },
];
