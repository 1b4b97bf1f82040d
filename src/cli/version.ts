/** `slipway version`: of Slipway and of what it runs on. */
import type { Command } from 'commander';
import { version } from '../version.ts';
import type { CliContext, GlobalOptions } from './context.ts';

export function addVersionCommand(program: Command, context: CliContext): void {
  program
    .command('version')
    .description('print the version')
    .action(async (_options: object, command: Command) => {
      const { json }: GlobalOptions = command.optsWithGlobals();
      const facts = {
        slipway: version,
        node: process.versions.node,
        platform: `${process.platform} ${process.arch}`,
      };
      if (json) return context.printJson(facts);
      await context.print(`slipway ${facts.slipway} (Node ${facts.node}, ${facts.platform})\n`);
    });
}
