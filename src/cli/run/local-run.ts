/** `slipway run` without a server: one execution by the starter of this process. */

import { createHash } from 'node:crypto';
import { systemClock } from '../../base/clock.ts';
import { parseDigest } from '../../base/digest.ts';
import { SlipwayError } from '../../base/errors.ts';
import { createId } from '../../base/ids.ts';
import type { Config } from '../../config/config.ts';
import type { Limits } from '../../model/limits.ts';
import { assertWithinCeilings, limitsSchema } from '../../model/limits.ts';
import type { CodeFile, Program } from '../../model/program.ts';
import type { Outcome, RunId, SkippedFile } from '../../model/run.ts';
import type { Usage } from '../../model/usage.ts';
import type { InputFile } from '../../runtime/driver.ts';
import type { Execution, ExecutionFeed, ExecutionOrder, Starter } from '../../starter/starter.ts';
import type { LocalFile, RunBackend, RunReport, RunRequest, RunSink, StopSignals } from './backend.ts';

/** A program that was asked to end gets this long, in ms. */
const graceMs = 5000;

/** @param config for default limits and ceilings */
export function createLocalBackend(
  starter: Starter,
  config: Pick<Config, 'defaultLimits' | 'ceilings'>,
): RunBackend {
  return {
    async run(request, sink, stop) {
      const order = await toOrder(request, starter, { config, signal: stop.kill });
      const execution = starter.execute(order, toFeed(request), stop.kill);
      const cancel = () => execution.cancel('interrupted', graceMs);
      stop.cancel.addEventListener('abort', cancel, { once: true });
      if (stop.cancel.aborted) cancel();
      const end = await receive(execution, sink, stop);
      const image = { name: request.image, digest: order.image };
      return { id: order.run, image, limits: order.limits, ...end };
    },
  };
}

interface OrderContext {
  readonly config: Pick<Config, 'defaultLimits' | 'ceilings'>;
  readonly signal: AbortSignal;
}

async function toOrder(
  request: RunRequest,
  starter: Starter,
  { config, signal }: OrderContext,
): Promise<ExecutionOrder> {
  const limits: Limits = limitsSchema.parse({ ...config.defaultLimits, ...request.limits });
  assertWithinCeilings(limits, config.ceilings);
  const image = await starter.resolveImage(request.image, signal);
  const run: RunId = createId('run', systemClock.now());
  return {
    run,
    image: image.digest,
    program: await toProgram(request),
    limits,
    outputs: request.outputs,
    stdin: request.stdin !== undefined,
    ...(request.egress.length > 0 && { egress: request.egress }),
  };
}

async function toProgram({ program }: RunRequest): Promise<Program> {
  if (program.kind === 'command') return program;
  const files: CodeFile[] = [];
  for (const file of program.files) files.push(await toCodeFile(file));
  return { ...program, files };
}

async function toCodeFile(file: LocalFile): Promise<CodeFile> {
  const hash = createHash('sha256');
  for await (const chunk of file.read()) hash.update(chunk);
  const digest = parseDigest(`sha256:${hash.digest('hex')}`);
  return { path: file.path, digest, sizeBytes: file.sizeBytes };
}

function toFeed({ program, data, stdin }: RunRequest): ExecutionFeed {
  return {
    code: toInputs(program.kind === 'script' ? program.files : []),
    inputs: toInputs(data),
    stdin: stdin ?? nothing(),
  };
}

async function* toInputs(files: AsyncIterable<LocalFile> | Iterable<LocalFile>): AsyncGenerator<InputFile> {
  for await (const file of files) {
    yield { path: file.path, sizeBytes: file.sizeBytes, content: file.read() };
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

type End = Pick<RunReport, 'outcome' | 'usage' | 'files' | 'skipped'>;

async function receive(execution: Execution, sink: RunSink, stop: StopSignals): Promise<End> {
  const files: { path: string; sizeBytes: number }[] = [];
  const skipped: SkippedFile[] = [];
  let ended: { outcome: Outcome; usage: Usage } | undefined;
  try {
    for await (const event of execution.events) {
      if (event.type === 'prepared') execution.go();
      if (event.type === 'output') await sink.output(event.stream, event.bytes);
      if (event.type === 'exited') ended = { outcome: event.outcome, usage: event.usage };
      if (event.type === 'skipped') skipped.push({ path: event.path, reason: event.reason });
      if (event.type === 'file') {
        await sink.file(event.path, event.sizeBytes, event.content);
        files.push({ path: event.path, sizeBytes: event.sizeBytes });
      }
    }
  } catch (error) {
    if (!stop.kill.aborted) throw error;
    return { outcome: { kind: 'cancelled', reason: 'killed' }, usage: ended?.usage ?? null, files, skipped };
  }
  if (ended === undefined) throw withoutEnd();
  return { ...ended, files, skipped };
}

function withoutEnd(): SlipwayError {
  return new SlipwayError(
    'internal',
    'execution-without-end',
    'The starter did not tell how the program ended.',
  );
}
