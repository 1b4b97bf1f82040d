/** `slipway run`: one script or command in a sandbox, here or on a server, as if it ran in this terminal. */
import type { Command } from 'commander';
import { SlipwayError } from '../../base/errors.ts';
import { PreviewBuilder } from '../../model/output-preview.ts';
import type { StreamName } from '../../model/program.ts';
import type { CliContext } from '../context.ts';
import { exitCodeOf } from '../exit-codes.ts';
import type { Progress } from '../progress.ts';
import { escapeText } from '../terminal-text.ts';
import type { RunBackend, RunReport, RunRequest, RunSink, StopSignals } from './backend.ts';
import { countBytes, countFiles, countStream, noticeSlow } from './counted.ts';
import { measureFolder } from './folder.ts';
import { LiveOutput, lostNote } from './live-output.ts';
import type { RunOptions } from './options.ts';
import { addLimit, addTarget, addText, addVariable, limitOption, toRunRequest } from './options.ts';
import { ResultFolder } from './result-folder.ts';
import { stopOnSignals } from './stop.ts';
import { describeEgress, describeFiles, describeRun } from './summary.ts';

/** Standard input that has not ended after so long is waited for with a remark, in ms. */
const slowStdinMs = 2000;
/** How much of each stream the JSON document holds, in bytes. */
const jsonOutputBytes = 4 * 1024 * 1024;

const examples = `
Examples:
  slipway run hello.py
  slipway run report.py --data ./2024 --out ./results --timeout 30s --memory 512mb -- --year 2024
  echo 'print(1 + 1)' | slipway run -
  slipway run --command -- python3 -c 'print(1 + 1)'
  slipway run hello.py --server http://127.0.0.1:7070

The exit status is the script's own; 124 at the time limit, 137 at the memory limit, 128 + n for signal n,
125 when Slipway itself failed, 2 when it refuses what was asked for. Links in --data are left out, with a note.`;

export function addRunCommand(program: Command, context: CliContext): void {
  program
    .command('run')
    .description('Run a script (or, with --command, a program of the image) once in a disposable sandbox.')
    .argument('[script]', 'the script, or - to read it from standard input')
    .argument('[args...]', 'its arguments, after --')
    .option('--image <name>', 'what the sandbox boots from', 'python')
    .option('--command', 'run a program of the image: slipway run --command -- ls -l')
    .option('--code <dir>', 'the folder of a script of several files')
    .option('--data <dir>', 'a folder, read-only at /data')
    .option('--out <dir>', 'where the files go that the script leaves in its work directory')
    .option('--output <pattern>', 'which of them, as "*.png"; may be repeated (default: all)', addText)
    .option('--force', 'let --out hold files already; those of the same name are replaced')
    .option('--timeout <time>', 'the most wall-clock time, as 30s', limitOption('wallTimeMs'))
    .option('--memory <size>', 'the most memory, as 512mb', limitOption('memoryBytes'))
    .option('--cpus <number>', 'the most processors, as 0.5', limitOption('cpus'))
    .option('--limit <name=value>', 'another limit, as pids=64 or work=1gb; may be repeated', addLimit)
    .option('--env <name=value>', 'a variable of its environment; may be repeated', addVariable)
    .option('--context <json|file>', 'data for the script, as JSON')
    .option('--egress <host:port>', 'a host that it may reach, by a proxy; may be repeated', addTarget)
    .option('--stdin <file|-|none>', 'its standard input (default: ours, unless that is a terminal)')
    .option('--separate', 'keep stdout and stderr apart; without it both come as stdout, in exact order')
    .option('--server <url>', 'run there and not here (default: SLIPWAY_URL)')
    .option('--raw', 'let the output control this terminal')
    .addHelpText('after', examples)
    .action((script: string | undefined, args: string[], _options: RunOptions, command: Command) =>
      runOnce(script === undefined ? args : [script, ...args], command.optsWithGlobals(), context),
    );
}

async function runOnce(words: readonly string[], options: RunOptions, context: CliContext): Promise<void> {
  const { io } = context;
  const hint = 'slipway: asking the program to end; press Ctrl-C again to kill it';
  using stop = stopOnSignals(io, () => void context.note(hint));
  const onSkipped = (path: string, reason: string) =>
    void context.note(`slipway: left out ${escapeText(path)}: ${reason}`);
  const request = await toRunRequest(words, options, { stdin: io.stdin, onSkipped });
  const folder =
    options.out === undefined ? undefined : await ResultFolder.create(options.out, options.force ?? false);
  const output = new SinkOfRun(context, options, folder);
  try {
    await using opened = await openBackend(options, context);
    const shown = showSending(request, options, context);
    const report = await runUnlessStopped(() => opened.backend.run(shown, output, stop), stop);
    await output.finish(report);
    context.exitCode = exitCodeOf(report.outcome);
  } finally {
    if (request.stdin === io.stdin) io.stdin.destroy(); // a pending read would keep this process alive
  }
}

/** Stopped before there was anything to stop: nothing ran. */
async function runUnlessStopped(run: () => Promise<RunReport>, stop: StopSignals): Promise<RunReport> {
  try {
    return await run();
  } catch (error) {
    if (!stop.cancel.aborted || error instanceof SlipwayError) throw error;
    throw new SlipwayError('cancelled', 'run-interrupted', 'Interrupted before the program began.', {
      cause: error,
    });
  }
}

interface OpenedBackend extends AsyncDisposable {
  readonly backend: RunBackend;
}

async function openBackend(options: RunOptions, context: CliContext): Promise<OpenedBackend> {
  const { config, io } = context;
  if (isRemote(options, context)) {
    const [{ createRemoteBackend }, client] = await Promise.all([
      import('./remote-run.ts'),
      context.client(options.server),
    ]);
    const onLost = (reason: string) => void context.note(lostNote(reason));
    return {
      backend: createRemoteBackend(client, { onLost }),
      [Symbol.asyncDispose]: async () => undefined,
    };
  }
  if (!io.isRoot) throw needsRoot();
  const { createLocalBackend } = await import('./local-run.ts');
  const embedded = await context.parts.openStarter(config);
  const backend = createLocalBackend(embedded.starter, config);
  return { backend, [Symbol.asyncDispose]: () => embedded[Symbol.asyncDispose]() };
}

function isRemote({ server }: RunOptions, { config }: CliContext): boolean {
  return server !== undefined || config.client.url !== undefined;
}

/** The request with a progress bar over what it sends before the program can begin. */
function showSending(request: RunRequest, options: RunOptions, context: CliContext): RunRequest {
  const { data } = options;
  const plain = options.json ?? false;
  const measure = async () => (data === undefined ? 0 : measureFolder(data));
  const open = (title: string, more: object = {}) =>
    context.progress({ title, unit: 'bytes', plain, ...more });
  const shown = {
    ...request,
    data:
      data === undefined ? request.data : countFiles(request.data, () => open('sending data', { measure })),
  };
  if (request.stdin === undefined || !isRemote(options, context)) return shown;
  const counted = countStream(request.stdin, () => open('sending standard input'));
  const isPipe = request.stdin === context.io.stdin && context.io.stdin.isTTY !== true;
  return {
    ...shown,
    stdin: isPipe ? noticeSlow(counted, slowStdinMs, () => sayStdinWaits(context)) : counted,
  };
}

function sayStdinWaits(context: CliContext): void {
  void context.note(
    'slipway: waiting for standard input to end: a server gets it whole, before the run. If it never ends, give --stdin none.',
  );
}

function needsRoot(): SlipwayError {
  return new SlipwayError(
    'forbidden',
    'needs-root',
    'Making sandboxes needs root. Type "sudo slipway run …", or run on a server: start one with "sudo slipway up", then give --server http://127.0.0.1:7070 and its token in SLIPWAY_TOKEN.',
  );
}

class SinkOfRun implements RunSink {
  readonly #context: CliContext;
  readonly #folder: ResultFolder | undefined;
  readonly #json: boolean;
  readonly #live: LiveOutput;
  readonly #preview = new PreviewBuilder(jsonOutputBytes);
  #receiving: Progress | undefined;

  constructor(context: CliContext, options: RunOptions, folder: ResultFolder | undefined) {
    this.#context = context;
    this.#folder = folder;
    this.#json = options.json ?? false;
    this.#live = new LiveOutput(context.io, options.raw ?? false);
  }

  async output(stream: StreamName, bytes: Uint8Array): Promise<void> {
    if (this.#json) this.#preview.add({ kind: 'output', stream, bytes });
    else await this.#live.write(stream, bytes);
  }

  async cut(dropped: Readonly<Record<StreamName, number>>): Promise<void> {
    if (this.#json) this.#preview.add({ kind: 'cut', dropped });
    else await this.#live.cut(dropped);
  }

  expectFiles(total: number): void {
    this.#receiving = this.#showReceiving({ total });
  }

  async file(path: string, _sizeBytes: number, content: AsyncIterable<Uint8Array>): Promise<void> {
    await this.#live.breakLine();
    this.#receiving ??= this.#showReceiving();
    const counted = countBytes(content, (bytes) => this.#receiving?.advance(bytes, path));
    if (this.#folder !== undefined) return this.#folder.write(path, counted);
    for await (const _ of counted); // only listed
  }

  #showReceiving(more: { readonly total?: number } = {}): Progress {
    return this.#context.progress({ title: 'receiving files', unit: 'bytes', plain: this.#json, ...more });
  }

  async finish(report: RunReport): Promise<void> {
    this.#receiving?.[Symbol.dispose]();
    if (this.#json) {
      const exitCode = exitCodeOf(report.outcome);
      return this.#context.printJson({ ...report, exitCode, output: this.#preview.build() });
    }
    await this.#live.end();
    await this.#live.breakLine();
    await this.#summarise(report);
  }

  async #summarise({ id, outcome, usage, files, skipped }: RunReport): Promise<void> {
    const paint = this.#context.paint.stderr;
    const colour = outcome.kind === 'succeeded' ? 'green' : 'red';
    await this.#context.note(`${paint(colour, describeRun(outcome, usage))} ${paint('dim', `(${id})`)}`);
    for (const line of describeEgress(usage)) await this.#context.note(paint('yellow', line));
    if (this.#folder !== undefined) await this.#context.note(describeFiles(files, this.#folder.path));
    for (const { path, reason } of skipped) {
      await this.#context.note(paint('yellow', `not kept: ${escapeText(path)}: ${escapeText(reason)}`));
    }
  }
}
