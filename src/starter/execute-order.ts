/**
 * One execution from its order to an empty host: create, supply, wait for permission, start, pass output on,
 * measure, collect, destroy. It reads top to bottom; whatever happens, the sandbox is destroyed at the end.
 */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { randomText } from '../base/ids.ts';
import type { Image } from '../model/image.ts';
import type { ScriptProgram } from '../model/program.ts';
import type { Usage } from '../model/usage.ts';
import type {
  InputFile,
  RuntimeDriver,
  Sandbox,
  SandboxRef,
  SandboxSpec,
  SandboxUse,
} from '../runtime/driver.ts';
import type { EgressProxy } from './egress/proxy.ts';
import { type EgressPolicy, openRunEgress, proxyPort, withProxyVariables } from './egress/run-egress.ts';
import { judgeOutcome } from './judge-outcome.ts';
import type { Permission } from './permission.ts';
import { RunGuard } from './run-guard.ts';
import { RunnerChannel, type RunnerReport } from './script-channel.ts';
import { importedModules, readCode, type ScriptFile, toInputFiles } from './script-code.ts';
import type { ExecutionEvent, ExecutionFeed, ExecutionOrder } from './starter.ts';
import type { WarmPool } from './warm-pool.ts';

export interface Work {
  readonly driver: RuntimeDriver;
  readonly image: Image;
  readonly order: ExecutionOrder;
  readonly feed: ExecutionFeed;
  readonly permission: Permission;
  /** The ids of sandboxes that somebody looks after; the reaper leaves them alone. */
  readonly tended: Set<string>;
  /** Ready sandboxes for scripts; without one every sandbox is started when it is needed. */
  readonly pool: WarmPool | undefined;
  readonly egress: EgressPolicy;
}

/** An execution's work with its egress proxy, if it has one. */
interface Job extends Work {
  readonly proxy: EgressProxy | undefined;
}

/** Yields the events of `Execution.events`. */
export async function* executeOrder(work: Work, signal: AbortSignal): AsyncGenerator<ExecutionEvent> {
  const early = AbortSignal.any([signal, work.permission.cancelledEarly]);
  using proxy = openRunEgress(work.order, work.egress);
  const job: Job = { ...work, order: withProxyVariables(work.order), proxy };
  const code = await readCode(work.feed.code);
  const inputs = await peek(work.feed.inputs);
  await using place = await takePlace(job, { code, hasInputs: inputs !== undefined, signal: early });
  if (inputs !== undefined) await place.sandbox.supply(inputs, early);
  yield { type: 'prepared', sandbox: place.sandbox.ref.name };
  await work.permission.wait(early);
  yield* runProgram(job, { ...place, code }, signal);
  yield* collectFiles(work.order, place.sandbox, signal);
}

/** A sandbox for one execution; `runner` has said *ready* if the sandbox is warm. */
interface Place extends AsyncDisposable {
  readonly sandbox: Sandbox;
  readonly runner: RunnerChannel | undefined;
}

interface Demand {
  readonly code: readonly ScriptFile[];
  readonly hasInputs: boolean;
  readonly signal: AbortSignal;
}

/** A warm sandbox if there is a fitting one, else a new one that is not started yet. */
async function takePlace(job: Job, { code, hasInputs, signal }: Demand): Promise<Place> {
  const { driver, tended, pool } = job;
  const spec = toSandboxSpec(job);
  const isPlain = spec.use.kind === 'runner' && spec.outlet === undefined;
  const fits = isPlain && (!hasInputs || driver.capabilities.lateSupply);
  const modules = importedModules(code, job.image.runner?.preload ?? []);
  const warm = fits ? pool?.claim(spec, modules) : undefined;
  if (warm !== undefined) return toPlace(warm.sandbox, warm.runner, tended);
  tended.add(spec.id);
  try {
    return toPlace(await driver.create(spec, signal), undefined, tended);
  } catch (error) {
    tended.delete(spec.id);
    throw error;
  }
}

/** It is tended to the end, even when `destroy` fails: then the reaper takes over. */
function toPlace(sandbox: Sandbox, runner: RunnerChannel | undefined, tended: Set<string>): Place {
  return {
    sandbox,
    runner,
    async [Symbol.asyncDispose]() {
      try {
        await sandbox.destroy();
      } finally {
        tended.delete(sandboxId(sandbox.ref));
      }
    },
  };
}

/** The part of a sandbox's name that its starter chose. */
export function sandboxId({ name }: SandboxRef): string {
  return name.slice(name.lastIndexOf('-') + 1);
}

/** What an execution ends with when it was cancelled before its program started. */
export function cancelledEarly(reason: string): ExecutionEvent {
  return { type: 'exited', outcome: { kind: 'cancelled', reason }, usage: nothingUsed };
}

const nothingUsed: Usage = {
  wallMs: 0,
  cpuMs: 0,
  cpuUserMs: 0,
  cpuSystemMs: 0,
  memoryPeakBytes: 0,
  pidsPeak: 0,
  readBytes: 0,
  writtenBytes: 0,
  oomKills: 0,
};

/** A place with the script that is to run there. */
type StartedPlace = Pick<Place, 'sandbox' | 'runner'> & { readonly code: readonly ScriptFile[] };

async function* runProgram(
  work: Job,
  place: StartedPlace,
  signal: AbortSignal,
): AsyncGenerator<ExecutionEvent> {
  const { order, permission } = work;
  const { sandbox } = place;
  using guard = new RunGuard(sandbox, order.limits);
  permission.whenRunning((reason, graceMs) => guard.cancel(reason, graceMs));
  if (place.runner === undefined) await sandbox.start(signal);
  else await sandbox.beginUsage();
  guard.start();
  yield { type: 'started' };
  const report = talk(work.order, place);
  feedStdin(work, sandbox, signal);
  for await (const chunk of sandbox.logs(signal)) {
    const bytes = guard.admitOutput(chunk.bytes);
    if (bytes.length > 0) yield { type: 'output', stream: chunk.stream, bytes };
  }
  const status = await sandbox.wait(signal);
  const evidence = { status, verdict: guard.verdict, report: await report, limits: order.limits };
  const usage = { ...status.usage, ...(work.proxy !== undefined && { egress: work.proxy.usage() }) };
  yield { type: 'exited', outcome: judgeOutcome(evidence), usage };
}

/** The conversation with the runner; a command has none. */
function talk({ program }: ExecutionOrder, place: StartedPlace): Promise<RunnerReport | undefined> {
  if (program.kind !== 'script') return Promise.resolve(undefined);
  const { sandbox, runner } = place;
  const code = toInputFiles(place.code);
  return runner?.run(program, code) ?? getReadyAndRun(sandbox, program, code);
}

async function getReadyAndRun(
  sandbox: Sandbox,
  program: ScriptProgram,
  code: AsyncIterable<InputFile>,
): Promise<RunnerReport> {
  const runner = new RunnerChannel(sandbox.channel());
  const failure = await runner.ready();
  return failure === undefined ? await runner.run(program, code) : { failure };
}

/** A program need not read its input: that the pipe breaks is no failure. */
function feedStdin(work: Work, sandbox: Sandbox, signal: AbortSignal): void {
  if (!work.order.stdin) {
    sandbox.stdin.on('error', () => undefined).end();
    return;
  }
  pipeline(Readable.from(work.feed.stdin), sandbox.stdin, { signal }).catch(() => undefined);
}

async function* collectFiles(
  order: ExecutionOrder,
  sandbox: Sandbox,
  signal: AbortSignal,
): AsyncGenerator<ExecutionEvent> {
  if (order.outputs.length === 0) return;
  const { resultFiles: maxFiles, resultBytes: maxBytes } = order.limits;
  for await (const entry of sandbox.collect({ patterns: order.outputs, maxFiles, maxBytes }, signal)) {
    yield entry.kind === 'file'
      ? { type: 'file', path: entry.path, sizeBytes: entry.sizeBytes, content: entry.content }
      : { type: 'skipped', path: entry.path, reason: entry.reason };
  }
}

function toSandboxSpec({ order, image, proxy }: Job): SandboxSpec {
  return {
    id: `${order.run.slice(-16)}${randomText(4)}`,
    image,
    use: toUse(order),
    // A script's environment is part of the request; the runner gives it to the script alone.
    env: order.program.kind === 'command' ? order.program.env : {},
    limits: order.limits,
    ...(proxy !== undefined && { outlet: { port: proxyPort, accept: (client) => proxy.accept(client) } }),
  };
}

function toUse({ program }: ExecutionOrder): SandboxUse {
  if (program.kind === 'script') return { kind: 'runner' };
  return { kind: 'command', argv: program.argv, streams: program.streams };
}

/** The same files, or undefined if there are none. */
async function peek(files: AsyncIterable<InputFile>): Promise<AsyncIterable<InputFile> | undefined> {
  const iterator = files[Symbol.asyncIterator]();
  const first = await iterator.next();
  if (first.done) return undefined;
  return (async function* () {
    yield first.value;
    yield* { [Symbol.asyncIterator]: () => iterator };
  })();
}
