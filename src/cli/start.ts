/** `slipway start`: the service, and the example run once through its API, as any client would. */
import { mkdtemp, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Command } from 'commander';
import { SlipwayError } from '../base/errors.ts';
import { createClient } from '../client/client.ts';
import type { Config } from '../config/config.ts';
import { adminTokenPath, readClientToken } from '../config/secrets.ts';
import type { CliContext } from './context.ts';
import { exitCodeOf } from './exit-codes.ts';
import type { RunningService } from './parts.ts';
import type { RunReport } from './run/backend.ts';
import { createLocalFile, walkFolder } from './run/folder.ts';
import { LiveOutput } from './run/live-output.ts';
import { createRemoteBackend } from './run/remote-run.ts';
import { ResultFolder } from './run/result-folder.ts';
import { stopOnSignals } from './run/stop.ts';
import { describeRun } from './run/summary.ts';
import { serve } from './up.ts';

const example = path.join(import.meta.dirname, '..', '..', 'examples', 'run-a-script');

export function addStartCommand(program: Command, context: CliContext): void {
  program
    .command('start')
    .description('Start the service, run examples/run-a-script once through its API, then serve.')
    .option('--once', 'stop after the example')
    .action(async (options: { once?: boolean }) => {
      context.requireRoot('The service', 'start');
      const work = async (service: RunningService) => {
        const url = await service.url;
        await runExample(url, context);
        if (options.once) return 'stop';
        await context.print(whatNext(url, context));
        return 'serve';
      };
      await serve(context, work, quietConfig(context));
    });
}

/** The example is to be seen, not the log, unless somebody asked for it. */
function quietConfig({ config, io }: CliContext): Config {
  return io.env['SLIPWAY_LOG_LEVEL'] ? config : { ...config, logLevel: 'warn' };
}

async function runExample(url: string, context: CliContext): Promise<void> {
  const { paint, config } = context;
  const out = await ResultFolder.create(await mkdtemp(path.join(tmpdir(), 'slipway-example-')), false);
  await context.print(`${paint.stdout('bold', 'examples/run-a-script/summarise.py, in a sandbox:')}\n\n`);
  const report = await runThere(createClient({ url, token: readClientToken(config, url) }), out, context);
  const files = report.files.map((file) => path.join(out.path, file.path));
  await context.print(
    `\n${describeRun(report.outcome, report.usage)}\nfiles: ${files.join(', ') || 'none'}\n`,
  );
  context.exitCode = exitCodeOf(report.outcome);
  if (context.exitCode !== 0) throw exampleFailed(report);
}

async function runThere(
  client: ReturnType<typeof createClient>,
  out: ResultFolder,
  context: CliContext,
): Promise<RunReport> {
  const live = new LiveOutput(context.io, false);
  using stop = stopOnSignals(context.io, () => undefined);
  const script = path.join(example, 'summarise.py');
  const file = createLocalFile(script, 'summarise.py', (await stat(script)).size);
  const request = {
    image: 'python',
    program: {
      kind: 'script',
      entry: file.path,
      files: [file],
      args: [],
      env: {},
      context: null,
      streams: 'merged',
    },
    limits: {},
    data: walkFolder(path.join(example, 'data'), () => undefined),
    stdin: undefined,
    outputs: ['**'],
    egress: [],
  } as const;
  const sink = {
    output: live.write.bind(live),
    cut: live.cut.bind(live),
    file: (name: string, _size: number, content: AsyncIterable<Uint8Array>) => out.write(name, content),
  };
  const report = await createRemoteBackend(client).run(request, sink, stop);
  await live.end();
  return report;
}

function exampleFailed({ outcome, id }: RunReport): SlipwayError {
  const message = `The example ${id} did not succeed: ${describeRun(outcome, null)}. "slipway doctor" may tell why.`;
  return new SlipwayError('internal', 'example-failed', message);
}

function whatNext(url: string, { config, paint }: CliContext): string {
  const token = adminTokenPath(config);
  const base = url.startsWith('unix:') ? `--unix-socket ${url.slice('unix:'.length)} http://localhost` : url;
  return [
    '',
    `${paint.stdout('bold', `Slipway listens on ${url}`)} (Ctrl-C stops it). Try, in another terminal:`,
    '',
    `  curl -s -H "Authorization: Bearer $(sudo cat ${token})" -H 'Content-Type: application/json' \\`,
    `    -d '{"script": {"source": "print(6 * 7)"}}' ${base.replace(/(http:\/\/\S+)$/, `'$1/v1/runs?wait=30s'`)}`,
    '',
    `  echo 'print(6 * 7)' | sudo slipway run - --server ${url}`,
    '',
    '',
  ].join('\n');
}
