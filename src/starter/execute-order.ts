/**
 * One execution from its order to an empty host: create, supply, wait for permission, start, pass output on,
 * measure, collect, destroy. It reads top to bottom; whatever happens, the sandbox is destroyed at the end.
 */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { randomText } from '../base/ids.ts';
import type { Image } from '../model/image.ts';
import type { Usage } from '../model/usage.ts';
import type { InputFile, RuntimeDriver, Sandbox, SandboxSpec, SandboxUse } from '../runtime/driver.ts';
import { judgeOutcome } from './judge-outcome.ts';
import type { Permission } from './permission.ts';
import { RunGuard } from './run-guard.ts';
import { converse, type RunnerReport } from './script-channel.ts';
import type { ExecutionEvent, ExecutionFeed, ExecutionOrder } from './starter.ts';

export interface Work {
  readonly driver: RuntimeDriver;
  readonly image: Image;
  readonly order: ExecutionOrder;
  readonly feed: ExecutionFeed;
  readonly permission: Permission;
  /** The ids of sandboxes that somebody looks after; the reaper leaves them alone. */
  readonly tended: Set<string>;
}

/** Yields the events of `Execution.events`. */
export async function* executeOrder(work: Work, signal: AbortSignal): AsyncGenerator<ExecutionEvent> {
  const early = AbortSignal.any([signal, work.permission.cancelledEarly]);
  const spec = toSandboxSpec(work.order, work.image);
  using _tended = tend(work.tended, spec.id);
  await using sandbox = await work.driver.create(spec, early);
  const inputs = await peek(work.feed.inputs);
  if (inputs !== undefined) await sandbox.supply(inputs, early);
  yield { type: 'prepared', sandbox: sandbox.ref.name };
  await work.permission.wait(early);
  yield* runProgram(work, sandbox, signal);
  yield* collectFiles(work.order, sandbox, signal);
}

/** Until the end of the block, even when `destroy` fails: then the reaper takes over. */
function tend(tended: Set<string>, id: string): Disposable {
  tended.add(id);
  return { [Symbol.dispose]: () => tended.delete(id) };
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

async function* runProgram(
  work: Work,
  sandbox: Sandbox,
  signal: AbortSignal,
): AsyncGenerator<ExecutionEvent> {
  const { order, permission } = work;
  using guard = new RunGuard(sandbox, order.limits);
  permission.whenRunning((reason, graceMs) => guard.cancel(reason, graceMs));
  await sandbox.start(signal);
  guard.start();
  yield { type: 'started' };
  const report = talk(work, sandbox);
  feedStdin(work, sandbox, signal);
  for await (const chunk of sandbox.logs(signal)) {
    const bytes = guard.admitOutput(chunk.bytes);
    if (bytes.length > 0) yield { type: 'output', stream: chunk.stream, bytes };
  }
  const status = await sandbox.wait(signal);
  const evidence = { status, verdict: guard.verdict, report: await report, limits: order.limits };
  yield { type: 'exited', outcome: judgeOutcome(evidence), usage: status.usage };
}

/** The conversation with the runner; a command has none. */
function talk(work: Work, sandbox: Sandbox): Promise<RunnerReport | undefined> {
  if (work.order.program.kind !== 'script') return Promise.resolve(undefined);
  const report = converse(sandbox.channel(), work.order.program, work.feed.code);
  // Observed again where it is awaited; without code the program cannot go on.
  report.catch(() => sandbox.stop(0).catch(() => undefined));
  return report;
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

function toSandboxSpec(order: ExecutionOrder, image: Image): SandboxSpec {
  return {
    id: `${order.run.slice(-16)}${randomText(4)}`,
    image,
    use: toUse(order),
    // A script's environment is part of the request; the runner gives it to the script alone.
    env: order.program.kind === 'command' ? order.program.env : {},
    limits: order.limits,
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
