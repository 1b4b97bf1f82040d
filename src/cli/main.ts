/**
 * The command line: one file per command, listed in commands.ts; this one puts them together and turns whatever
 * happens into an exit status (exit-codes.ts). A command speaks to a server through client/, or to the starter of this process. The
 * process itself (signals, streams) is io.ts; nothing here calls `process.exit`.
 */
import { Command, CommanderError } from 'commander';
import { isSlipwayError, messageOf, systemCode } from '../base/errors.ts';
import { version } from '../version.ts';
import type { CommandEntry, Surroundings } from './commands.ts';
import { commands } from './commands.ts';
import type { CliContext } from './context.ts';
import { exitCodeOfError, exitCodes } from './exit-codes.ts';
import type { CliIo } from './io.ts';
import { paintFor } from './paint.ts';
import type { CliParts } from './parts.ts';

const footer = `
Configuration is by environment variables, SLIPWAY_…: docs/config.md. Exit statuses: docs/cli.md.
Begin with: sudo slipway run script.py`;

/**
 * Runs one command line to its end.
 *
 * @param argv the words after `slipway`
 * @returns the exit status; never rejects
 */
export async function runCli(argv: readonly string[], io: CliIo, parts: CliParts): Promise<number> {
  let context: CliContext | undefined;
  const around: Surroundings = {
    io,
    async context() {
      context ??= new (await import('./context.ts')).CliContext(io, parts);
      return context;
    },
  };
  try {
    const program = await createProgram(argv, around);
    await program.parseAsync([...argv], { from: 'user' });
    return context?.exitCode ?? exitCodes.ok;
  } catch (error) {
    context?.endProgress();
    return report(error, argv, io);
  }
}

async function createProgram(argv: readonly string[], around: Surroundings): Promise<Command> {
  const { io } = around;
  const program = new Command('slipway')
    .description("Runs other people's code beside your data, each run in a disposable sandbox.")
    .option('--json', 'print the result as JSON')
    .version(version, '-V, --version', 'print the version')
    .exitOverride()
    .showHelpAfterError('(see slipway --help)')
    .configureOutput({
      writeOut: (text) => void io.stdout.write(text),
      writeErr: (text) => void io.stderr.write(text),
      outputError: (text, write) => write(text.replace(/^error: /, 'slipway: ')),
    })
    .addHelpText('after', footer);
  for (const entry of commands) await addCommand(program, entry, { argv, around });
  return program;
}

interface CommandLine {
  readonly argv: readonly string[];
  readonly around: Surroundings;
}

/** In full if the command line may mean it, else as a line of the help. */
async function addCommand(
  program: Command,
  entry: CommandEntry,
  { argv, around }: CommandLine,
): Promise<void> {
  if (!argv.includes(entry.name)) {
    program.command(entry.name).summary(entry.summary);
    return;
  }
  await entry.add(program, around);
  program.commands.at(-1)?.summary(entry.summary);
}

/** Says on stderr what happened, and answers with what to end. */
function report(error: unknown, argv: readonly string[], io: CliIo): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
  if (systemCode(error) === 'EPIPE') return exitCodes.brokenPipe;
  if (isSlipwayError(error, 'run-interrupted')) return exitCodes.cancelled;
  const paint = paintFor(io.stderr, io.env);
  io.stderr.write(`${paint('red', 'slipway:')} ${messageOf(error)}\n`);
  const failure = argv.includes('run') ? exitCodes.platform : exitCodes.failure;
  if (!isSlipwayError(error)) io.stderr.write(`${error instanceof Error ? error.stack : ''}\n`);
  return exitCodeOfError(error, failure);
}
