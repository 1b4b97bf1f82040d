/** `slipway runs list | show | logs | cancel`: the runs of a server. */
import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import type { RunSummary, RunView } from '../api/run-view.ts';
import { formatBytes, formatDuration } from '../base/units.ts';
import type { Client } from '../client/client.ts';
import type { RunState } from '../model/run.ts';
import { runStates } from '../model/run.ts';
import type { CliContext, GlobalOptions } from './context.ts';
import { formatTable } from './paint.ts';
import { LiveOutput, lostNote } from './run/live-output.ts';
import { stopOnSignals } from './run/stop.ts';
import { describeRun } from './run/summary.ts';
import { escapeText } from './terminal-text.ts';

interface ServerOption extends GlobalOptions {
  readonly server?: string;
}

interface ListOptions extends ServerOption {
  readonly limit: number;
  readonly state?: RunState;
}

interface LogsOptions extends ServerOption {
  readonly follow?: boolean;
  readonly raw?: boolean;
}

export function addRunsCommand(program: Command, context: CliContext): void {
  const runs = program
    .command('runs')
    .description('The runs of a server (this machine’s, or that of --server or SLIPWAY_URL).')
    .option('--server <url>', 'the server');
  runs
    .command('list')
    .description('list the newest runs')
    .option('--limit <number>', 'at most so many (1 to 1000)', parseCount, 20)
    .option('--state <state>', `only those: ${runStates.join(', ')}`, parseState)
    .action((_options: object, command: Command) => list(command.optsWithGlobals(), context));
  runs
    .command('show')
    .description('show one run')
    .argument('<id>')
    .action((id: string, _options: object, command: Command) => show(id, command.optsWithGlobals(), context));
  runs
    .command('logs')
    .description('print the output of a run')
    .argument('<id>')
    .option('-f, --follow', 'go on until the run has ended')
    .option('--raw', 'let the output control this terminal')
    .action((id: string, _options: object, command: Command) => logs(id, command.optsWithGlobals(), context));
  runs
    .command('cancel')
    .description('cancel a run, waiting or running')
    .argument('<id>')
    .option('--reason <text>', 'for people, kept with the run')
    .action((id: string, _options: object, command: Command) =>
      cancel(id, command.optsWithGlobals(), context),
    );
}

async function list(options: ListOptions, context: CliContext): Promise<void> {
  const { limit, state } = options;
  const client = await context.client(options.server);
  const page = await client.listRuns({ limit, ...(state !== undefined && { state }) });
  if (options.json) return context.printJson(page);
  if (page.runs.length === 0) return context.note('There are no runs.');
  await context.print(
    formatTable([['ID', 'STATE', 'SUBMITTED', 'IMAGE', 'PROGRAM', 'USED'], ...page.runs.map(toRow)]),
  );
  if (page.next !== null) await context.note('There are older ones; see --limit.');
}

function toRow(run: RunSummary): string[] {
  const used = run.usage === null ? '' : `${formatDuration(run.usage.wallMs)}, ${formatPeak(run)}`;
  return [run.id, run.state, run.submittedAt, run.image.name, programOf(run), used];
}

function formatPeak({ usage }: RunSummary): string {
  return typeof usage?.memoryPeakBytes === 'number' ? formatBytes(usage.memoryPeakBytes) : 'memory unknown';
}

function programOf({ program }: RunSummary): string {
  const words =
    program.kind === 'script' ? [program.entry ?? '', ...(program.args ?? [])] : (program.argv ?? []);
  const text = words.join(' ');
  return text.length > 40 ? `${text.slice(0, 39)}…` : text;
}

async function show(id: string, options: ServerOption, context: CliContext): Promise<void> {
  const client = await context.client(options.server);
  const run = await client.getRun(id);
  if (options.json) return context.printJson(run);
  await context.print(formatTable(factsOf(run)));
}

function factsOf(run: RunView): string[][] {
  return [
    ['id', run.id],
    ['state', run.state],
    ...(run.outcome === null ? [] : [['outcome', describeRun(run.outcome, run.usage)]]),
    ['program', programOf(run)],
    ['image', `${run.image.name} (${run.image.digest})`],
    ['submitted', run.submittedAt],
    ['started', run.startedAt ?? ''],
    ['finished', run.finishedAt ?? ''],
    ...Object.entries(run.labels).map(([name, value]) => ['label', `${name}=${value}`]),
    ...run.files.map((file) => ['file', `${file.path} (${formatBytes(file.sizeBytes)})`]),
    ...run.skipped.map((file) => ['not kept', `${file.path}: ${file.reason}`]),
  ];
}

async function logs(id: string, options: LogsOptions, context: CliContext): Promise<void> {
  const client = await context.client(options.server);
  const live = new LiveOutput(context.io, options.raw ?? false);
  using stop = stopOnSignals(context.io, () => undefined);
  try {
    for await (const record of readRecords(client, id, { options, context, signal: stop.cancel })) {
      if (record.kind === 'output') await live.write(record.stream, record.bytes);
      else await live.cut(record.dropped);
    }
  } catch (error) {
    if (!stop.cancel.aborted) throw error;
  }
  await live.end();
}

interface Reading {
  readonly options: LogsOptions;
  readonly context: CliContext;
  readonly signal: AbortSignal;
}

function readRecords(client: Client, id: string, { options, context, signal }: Reading) {
  if (!options.follow) return client.readLog(id, {}, signal);
  return client.followLog(id, { signal, onLost: (reason) => void context.note(lostNote(reason)) });
}

async function cancel(
  id: string,
  options: ServerOption & { reason?: string },
  context: CliContext,
): Promise<void> {
  const client = await context.client(options.server);
  const run = await client.cancelRun(id, options.reason);
  if (options.json) return context.printJson(run);
  await context.print(`${run.id} is ${run.finished ? escapeText(run.state) : 'being cancelled'}\n`);
}

function parseCount(text: string): number {
  const count = Number(text);
  if (Number.isInteger(count) && count >= 1 && count <= 1000) return count;
  throw new InvalidArgumentError('Write a whole number from 1 to 1000.');
}

function parseState(text: string): RunState {
  const state = runStates.find((known) => known === text);
  if (state !== undefined) return state;
  throw new InvalidArgumentError(`There are ${runStates.join(', ')}.`);
}
