/** `slipway version`: of Slipway and of what it runs on. */
import type { Command } from 'commander';
import { version } from '../version.ts';
import type { GlobalOptions } from './context.ts';
import type { CliIo } from './io.ts';
import { writeAll } from './io.ts';

export function addVersionCommand(program: Command, { stdout }: Pick<CliIo, 'stdout'>): void {
  program
    .command('version')
    .description('Print the version.')
    .action(async (_options: object, command: Command) => {
      const { json }: GlobalOptions = command.optsWithGlobals();
      const facts = {
        slipway: version,
        node: process.versions.node,
        platform: `${process.platform} ${process.arch}`,
      };
      const text = `slipway ${facts.slipway} (Node ${facts.node}, ${facts.platform})`;
      await writeAll(stdout, `${json ? JSON.stringify(facts, null, 2) : text}\n`);
    });
}
