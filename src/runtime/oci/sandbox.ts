/**
 * One sandbox of the `oci` driver, from prepared to removed. The order of things and what each method promises
 * is in ../driver.ts; how the program is run and ended, in program/lifecycle.ts; what is removed, in host/traces.ts. Pid 1
 * inside is the program itself: without a handler for it, the kernel ignores SIGTERM there, so `stop` with a
 * grace period then waits for the whole of it.
 */
import { mkdir } from 'node:fs/promises';
import type { Duplex, Writable } from 'node:stream';
import { SlipwayError } from '../../base/errors.ts';
import type { ExitStatus } from '../../model/usage.ts';
import type {
  Address,
  CollectedEntry,
  CollectRules,
  InputFile,
  LogChunk,
  Sandbox,
  SandboxRef,
  SandboxSpec,
  SandboxUse,
} from '../driver.ts';
import { untilAborted } from './abort.ts';
import { collectFiles } from './files/collect.ts';
import { stageInputs } from './files/inputs.ts';
import { cgroupDirs } from './host/cgroups.ts';
import { removeTraces, type TraceHost } from './host/traces.ts';
import { Forwarder } from './program/forwarder.ts';
import { Lifecycle } from './program/lifecycle.ts';
import type { Outlet } from './program/outlet.ts';
import { leavesCleanUp, type RuntimeCommand } from './program/runtime-process.ts';
import { readUsage, restartMemoryPeak } from './program/usage.ts';

export interface OciSandboxOptions {
  readonly host: TraceHost;
  readonly ref: SandboxRef;
  readonly spec: SandboxSpec;
  /** The program's first word, for messages. */
  readonly program: string;
  readonly runtime: RuntimeCommand;
  /** Closed with the sandbox. */
  readonly outlet: Outlet | undefined;
  /** Writes the runtime's configuration anew, with this directory at /data. */
  readonly configure: (dataDir: string) => Promise<void>;
  /** Called once everything is gone. */
  readonly onDestroyed: () => void;
}

export class OciSandbox implements Sandbox {
  readonly ref: SandboxRef;
  readonly #options: OciSandboxOptions;
  readonly #lifecycle: Lifecycle;
  #forwarder: Forwarder | undefined;
  readonly #closing = new AbortController();
  #supplying: Promise<void> | undefined;
  #supplied = false;
  #channelTaken = false;
  #destroying: Promise<void> | undefined;

  constructor(options: OciSandboxOptions) {
    const { host, ref, program } = options;
    const cgroupPath = host.places.cgroupPath(ref.name);
    this.#options = options;
    this.ref = ref;
    this.#lifecycle = new Lifecycle({
      cgroups: cgroupDirs(host.cgroups, cgroupPath),
      program,
      readUsage: () => readUsage(host.cgroups, cgroupPath, !leavesCleanUp(options.runtime)),
    });
  }

  get stdin(): Writable {
    return this.#lifecycle.stdin;
  }

  async supply(inputs: AsyncIterable<InputFile>, signal: AbortSignal): Promise<void> {
    const isLate = this.#lifecycle.phase !== 'new';
    if (this.#destroying !== undefined || (isLate && !this.#options.spec.lateInputs)) throw lateSupply();
    if (this.#supplied && this.#options.spec.lateInputs) throw suppliedBefore();
    this.#supplied = true;
    if (this.#supplying !== undefined) throw supplyUnderWay();
    this.#supplying = this.#supply(inputs, AbortSignal.any([signal, this.#closing.signal]));
    try {
      await this.#supplying;
    } finally {
      this.#supplying = undefined;
    }
  }

  async start(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#lifecycle.phase !== 'new' || this.#destroying !== undefined) throw cannotStart(this.ref);
    if (this.#supplying !== undefined) throw supplyUnderWay();
    const { host, ref, spec, runtime } = this.#options;
    await this.#lifecycle.launch({
      runtime,
      root: host.places.runtimeRoot,
      runDir: host.places.runDir(ref.name),
      name: ref.name,
      channel: spec.use.kind === 'runner',
    });
  }

  channel(): Duplex {
    this.#assertUse('runner');
    const { runtime } = this.#lifecycle;
    if (runtime === undefined || this.#channelTaken) throw noChannel();
    this.#channelTaken = true;
    return runtime.channel;
  }

  async connect(signal: AbortSignal): Promise<Address> {
    const { host, ref, spec } = this.#options;
    if (spec.use.kind !== 'server') throw wrongUse('server', spec.use);
    this.#forwarder ??= new Forwarder({
      port: spec.use.port,
      socketPath: host.places.socketPath(ref.name),
      programPid: () => this.#lifecycle.programPid,
      isOver: () => this.#lifecycle.phase === 'ended' || this.#destroying !== undefined,
    });
    return { kind: 'unix', path: await this.#forwarder.ready(signal) };
  }

  logs(signal: AbortSignal): AsyncIterable<LogChunk> {
    return this.#lifecycle.output.read(signal);
  }

  async beginUsage(): Promise<{ readonly memoryBytes: number | null }> {
    const { host, ref } = this.#options;
    this.#lifecycle.beginUsage();
    return { memoryBytes: restartMemoryPeak(host.cgroups, host.places.cgroupPath(ref.name)) };
  }

  wait(signal: AbortSignal): Promise<ExitStatus> {
    return untilAborted(this.#lifecycle.ended, signal);
  }

  stop(graceMs: number): Promise<void> {
    return this.#lifecycle.stop(graceMs);
  }

  collect(rules: CollectRules, signal: AbortSignal): AsyncIterable<CollectedEntry> {
    if (this.#lifecycle.phase !== 'ended' || this.#destroying !== undefined) throw cannotCollect(this.ref);
    const { host, ref } = this.#options;
    return collectFiles(host.places.workDir(ref.name), rules, signal);
  }

  async destroy(): Promise<void> {
    this.#destroying ??= this.#destroy();
    try {
      await this.#destroying;
    } catch (error) {
      this.#destroying = undefined; // the next call tries again
      throw error;
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.destroy();
  }

  async #supply(inputs: AsyncIterable<InputFile>, signal: AbortSignal): Promise<void> {
    const { host, ref, spec, configure } = this.#options;
    const dataDir = host.places.dataDir(ref.name);
    await mkdir(host.places.diskDir(ref.name), { recursive: true, mode: 0o700 });
    await stageInputs(dataDir, inputs, signal);
    if (spec.lateInputs) await host.mounts.present(dataDir, host.places.latePlace(ref.name));
    else await configure(dataDir);
  }

  async #destroy(): Promise<void> {
    this.#closing.abort(destroyed(this.ref));
    await this.#supplying?.catch(() => undefined); // its caller hears of it
    this.#lifecycle.output.discard();
    await this.#lifecycle.stop(0);
    await this.#forwarder?.close();
    await this.#options.outlet?.close();
    await removeTraces(this.#options.host, this.ref.name);
    this.#options.onDestroyed();
  }

  #assertUse(kind: SandboxUse['kind']): void {
    const { use } = this.#options.spec;
    if (use.kind !== kind) throw wrongUse(kind, use);
  }
}

function lateSupply(): SlipwayError {
  return new SlipwayError(
    'unsupported',
    'no-late-supply',
    'Input files can be added to a sandbox that was started only if its spec has `lateInputs`. Supply them before the start.',
  );
}

function supplyUnderWay(): SlipwayError {
  return new SlipwayError(
    'conflict',
    'supply-under-way',
    'Input files are still being supplied: wait for that first.',
  );
}

function suppliedBefore(): SlipwayError {
  return new SlipwayError(
    'conflict',
    'supplied-before',
    'A sandbox whose spec has `lateInputs` is supplied once.',
  );
}

function destroyed(ref: SandboxRef): SlipwayError {
  return new SlipwayError('cancelled', 'sandbox-destroyed', `The sandbox ${ref.name} was destroyed.`);
}

function cannotStart(ref: SandboxRef): SlipwayError {
  return new SlipwayError(
    'conflict',
    'already-started',
    `The sandbox ${ref.name} was started or ended before.`,
  );
}

function cannotCollect(ref: SandboxRef): SlipwayError {
  return new SlipwayError(
    'conflict',
    'still-running',
    `Files of the sandbox ${ref.name} can be collected only after it ended and before it is destroyed.`,
  );
}

function wrongUse(wanted: string, use: SandboxUse): SlipwayError {
  return new SlipwayError(
    'unsupported',
    'wrong-use',
    `This sandbox was made for the use "${use.kind}", not "${wanted}".`,
  );
}

function noChannel(): SlipwayError {
  return new SlipwayError('conflict', 'no-channel', 'The channel can be taken once, after the start.');
}
