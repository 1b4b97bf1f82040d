/** `slipway run` on a server: files are uploaded, the output is followed, result files are fetched. */
import type { RunView } from '../../api/run-view.ts';
import type { SubmitRequestInput } from '../../api/submit-request.ts';
import { SlipwayError } from '../../base/errors.ts';
import type { Client } from '../../client/client.ts';
import type { LocalFile, RunBackend, RunReport, RunRequest, RunSink, StopSignals } from './backend.ts';

export interface RemoteOptions {
  /** Told when the connection is lost while the run is followed; it is made again. */
  readonly onLost?: (reason: string) => void;
}

export function createRemoteBackend(client: Client, { onLost }: RemoteOptions = {}): RunBackend {
  return {
    async run(request, sink, stop) {
      const before = AbortSignal.any([stop.cancel, stop.kill]);
      const submission = await toSubmission(request, { client, signal: before });
      const run = await client.submitRun(submission, before);
      const cancel = () => void client.cancelRun(run.id, 'interrupted').catch(() => undefined);
      stop.cancel.addEventListener('abort', cancel, { once: true });
      if (stop.cancel.aborted) cancel();
      return follow(client, run, { sink, stop, onLost });
    },
  };
}

interface Upload {
  readonly client: Client;
  readonly signal: AbortSignal;
}

async function toSubmission(request: RunRequest, upload: Upload): Promise<SubmitRequestInput> {
  const { program, image, limits, outputs } = request;
  const { env, streams } = program;
  const inputs = await uploadAll(request.data, upload);
  const stdin =
    request.stdin === undefined
      ? undefined
      : await upload.client.uploadBlob(request.stdin, undefined, upload.signal);
  const common = {
    image,
    env: { ...env },
    streams,
    limits,
    inputs,
    outputs: [...outputs],
    ...(request.egress.length > 0 && { egress: [...request.egress] }),
    ...(stdin !== undefined && { stdin: { digest: stdin.digest } }),
  };
  if (program.kind === 'command') return { ...common, command: [...program.argv] };
  const { entry, args, context } = program;
  const script = { entry, files: await uploadAll(program.files, upload) };
  return { ...common, script, args: [...args], ...(context !== null && { context }) };
}

async function uploadAll(files: AsyncIterable<LocalFile> | Iterable<LocalFile>, { client, signal }: Upload) {
  const uploaded: { path: string; digest: RunView['image']['digest'] }[] = [];
  for await (const file of files) {
    const { digest } = await client.uploadBlob(file.read(), undefined, signal);
    uploaded.push({ path: file.path, digest });
  }
  return uploaded;
}

interface Following {
  readonly sink: RunSink;
  readonly stop: StopSignals;
  readonly onLost: RemoteOptions['onLost'];
}

async function follow(
  client: Client,
  submitted: RunView,
  { sink, stop, onLost }: Following,
): Promise<RunReport> {
  try {
    for await (const record of client.followLog(submitted.id, { signal: stop.kill, onLost })) {
      if (record.kind === 'output') await sink.output(record.stream, record.bytes);
      else await sink.cut(record.dropped);
    }
    const run = await client.waitRun(submitted.id, stop.kill);
    sink.expectFiles?.(run.files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0));
    for (const { path, sizeBytes } of run.files) {
      await sink.file(path, sizeBytes, client.readFile(run.id, path, stop.kill));
    }
    return toReport(run);
  } catch (error) {
    if (!stop.kill.aborted) throw error;
    return { ...toReport({ ...submitted, outcome: { kind: 'cancelled', reason: 'killed' } }), files: [] };
  }
}

function toReport(run: RunView): RunReport {
  if (run.outcome === null)
    throw new SlipwayError('internal', 'execution-without-end', `The run ${run.id} has no outcome.`);
  const { id, image, usage, limits, skipped } = run;
  const files = run.files.map(({ path, sizeBytes }) => ({ path, sizeBytes }));
  return { id, image, outcome: run.outcome, usage, limits, files, skipped };
}
