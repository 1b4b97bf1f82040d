/**
 * The command line: one file per command; this one puts them together and turns whatever happens into an exit status
 * (exit-codes.ts). A command speaks to a server through client/, or to the starter of this process. The
 * process itself (signals, streams) is io.ts; nothing here calls `process.exit`.
 */
import { Command, CommanderError } from 'commander';
import { isSlipwayError, messageOf, systemCode } from '../base/errors.ts';
import { version } from '../version.ts';
import type { AddCommand } from './context.ts';
import { CliContext } from './context.ts';
import { addDoctorCommand } from './doctor.ts';
import { exitCodeOfError, exitCodes } from './exit-codes.ts';
import { addImageCommand } from './image-command.ts';
import type { CliIo } from './io.ts';
import { processIo } from './io.ts';
import { paintFor } from './paint.ts';
import type { CliParts } from './parts.ts';
import { appParts } from './parts.ts';
import { addRunCommand } from './run/run-command.ts';
import { addRunsCommand } from './runs.ts';
import { addStartCommand } from './start.ts';
import { addUpCommand } from './up.ts';
import { addVersionCommand } from './version.ts';

const commands: readonly AddCommand[] = [
  addRunCommand,
  addUpCommand,
  addStartCommand,
  addDoctorCommand,
  addImageCommand,
  addRunsCommand,
  addVersionCommand,
];

const footer = `
Configuration is by environment variables, SLIPWAY_…: docs/config.md. Exit statuses: docs/cli.md.
Begin with: sudo slipway run script.py`;

/**
 * Runs one command line to its end.
 *
 * @param argv the words after `slipway`
 * @returns the exit status; never rejects
 */
export async function runCli(
  argv: readonly string[],
  io: CliIo = processIo(),
  parts: CliParts = appParts,
): Promise<number> {
  const context = new CliContext(io, parts);
  try {
    await createProgram(context).parseAsync([...argv], { from: 'user' });
    return context.exitCode;
  } catch (error) {
    return report(error, argv, io);
  }
}

function createProgram(context: CliContext): Command {
  const { io } = context;
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
  for (const add of commands) add(program, context);
  return program;
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
