/**
 * The life of what runs in one sandbox: launch of the runtime, its streams, the ways to end it, and the one
 * exit status. A process id is used only while it is seen in the sandbox's own cgroups, so that a reused one
 * is never hit.
 */
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { SlipwayError } from '../../../base/errors.ts';
import type { ExitStatus, Usage } from '../../../model/usage.ts';
import { killAll, processesIn, sendSignal } from '../host/cgroups.ts';
import { judge, killedStatus } from './judge.ts';
import { Output } from './output.ts';
import { type LaunchOptions, RuntimeProcess } from './runtime-process.ts';
import { ProgramInput } from './stdin.ts';
import { type CgroupFigures, usedSince } from './usage.ts';

export interface LifecycleOptions {
  /** The sandbox's cgroup in every hierarchy. */
  readonly cgroups: readonly string[];
  /** Named in messages. */
  readonly program: string;
  /** Read once everything inside is dead. */
  readonly readUsage: () => CgroupFigures;
}

const startDeadlineMs = 30_000;
const exitDeadlineMs = 10_000;
const pollMs = 5;
const stallCheckMs = 100;
const complaintDeadlineMs = 200;
const maxComplaint = 500;

const nothingMeasured: Usage = {
  wallMs: 0,
  cpuMs: null,
  cpuUserMs: null,
  cpuSystemMs: null,
  memoryPeakBytes: null,
  pidsPeak: null,
  readBytes: null,
  writtenBytes: null,
  oomKills: null,
};

export class Lifecycle {
  readonly stdin = new ProgramInput();
  readonly output = new Output();
  /** Settles once everything inside is dead and measured; rejects if the platform failed. */
  readonly ended: Promise<ExitStatus>;
  readonly #options: LifecycleOptions;
  readonly #verdict = Promise.withResolvers<ExitStatus>();
  #phase: 'new' | 'launched' | 'ended' = 'new';
  /** What was used before `beginUsage`, and when that was. */
  #before: { readonly figures: CgroupFigures; readonly atMs: number } | undefined;
  #killed = false;
  #timedOut = false;
  #runtime: RuntimeProcess | undefined;
  /** What the runtime printed instead of starting the program. */
  #complaint = '';

  constructor(options: LifecycleOptions) {
    this.#options = options;
    this.ended = this.#verdict.promise;
    this.ended.catch(() => undefined); // `wait` reports it
  }

  get phase(): 'new' | 'launched' | 'ended' {
    return this.#phase;
  }

  get runtime(): RuntimeProcess | undefined {
    return this.#runtime;
  }

  /** @throws SlipwayError `runtime-missing` */
  async launch(options: LaunchOptions): Promise<void> {
    const runtime = new RuntimeProcess(options);
    this.#runtime = runtime;
    this.#phase = 'launched';
    void this.#follow(runtime);
    await runtime.launched;
  }

  /** SIGTERM, and after the grace SIGKILL for everything; resolves when all is dead. */
  async stop(graceMs: number): Promise<void> {
    if (this.#phase === 'new') this.#settle(killedStatus(nothingMeasured));
    if (this.#isOver()) return;
    if (graceMs > 0) await this.#terminate(graceMs);
    if (!this.#isOver()) await this.#kill();
    await this.ended.catch(() => undefined);
  }

  /** The program's process id, if it is alive. */
  get programPid(): number | undefined {
    const pid = this.#runtime?.programPid;
    return pid !== undefined && processesIn(this.#options.cgroups).has(pid) ? pid : undefined;
  }

  #isOver(): boolean {
    return this.#phase === 'ended';
  }

  async #follow(runtime: RuntimeProcess): Promise<void> {
    const deadline = setTimeout(() => void this.#giveUpStarting(runtime), startDeadlineMs);
    const stallCheck = setInterval(() => this.#absorbIfDead(), stallCheckMs);
    try {
      await runtime.launched;
      const stderrTaken = this.#carryStreams(runtime);
      const exit = await runtime.exited;
      await Promise.all([stderrTaken, killAll(this.#options.cgroups)]);
      this.#conclude(runtime, exit);
    } catch (error) {
      this.#fail(error);
    } finally {
      clearTimeout(deadline);
      clearInterval(stallCheck);
    }
  }

  #carryStreams(runtime: RuntimeProcess): Promise<void> {
    this.stdin.connect(runtime.stdin);
    this.output.add('stdout', runtime.stdout);
    return this.#carryStderr(runtime, runtime.stderr);
  }

  /**
   * The runtime prints its own failures on the stream that later carries the program's stderr, so nothing of it
   * is output before the program is known to have started.
   */
  async #carryStderr(runtime: RuntimeProcess, stderr: Readable): Promise<void> {
    // Without a listener, Node throws away what is unread when the process exits.
    stderr.on('readable', () => undefined);
    const ended = new AbortController();
    void runtime.exited.then(() => ended.abort());
    await once(stderr, 'readable', { signal: ended.signal }).catch(() => undefined);
    while (!runtime.programStarted && !ended.signal.aborted) await delay(pollMs);
    if (runtime.programStarted) this.output.add('stderr', stderr);
    else this.#complaint = await readComplaint(stderr);
  }

  #conclude(runtime: RuntimeProcess, exit: { code: number | null; signal: string | null }): void {
    if (this.#timedOut) throw startTimedOut();
    const { status, message } = judge({
      program: this.#options.program,
      exit,
      programStarted: runtime.programStarted,
      log: runtime.log,
      complaint: this.#complaint,
      killed: this.#killed,
      usage: this.#usage(runtime),
    });
    if (message !== undefined) this.output.say('stderr', message);
    this.#settle(status);
  }

  /** What is used from now on is what `wait` reports. */
  beginUsage(): void {
    this.#before = { figures: this.#options.readUsage(), atMs: performance.now() };
  }

  #usage(runtime: RuntimeProcess): Usage {
    const figures = this.#options.readUsage();
    if (this.#before === undefined) return { wallMs: wallTime(runtime), ...figures };
    const wallMs = Math.round((performance.now() - this.#before.atMs) * 1000) / 1000;
    return { wallMs, ...usedSince(figures, this.#before.figures) };
  }

  #settle(status: ExitStatus): void {
    this.#over();
    this.#verdict.resolve(status);
  }

  #fail(error: unknown): void {
    this.#over();
    this.#verdict.reject(error);
  }

  #over(): void {
    this.#phase = 'ended';
    this.stdin.close();
    this.output.complete();
  }

  async #terminate(graceMs: number): Promise<void> {
    const deadline = performance.now() + graceMs;
    const settled = this.ended.then(
      () => undefined,
      () => undefined,
    );
    while (!this.#isOver() && performance.now() < deadline) {
      const pid = this.programPid;
      if (pid === undefined) {
        await delay(pollMs);
        continue;
      }
      sendSignal(pid, 'SIGTERM');
      break;
    }
    const timer = new AbortController();
    const rest = Math.max(0, deadline - performance.now());
    await Promise.race([settled, delay(rest, undefined, { signal: timer.signal })]);
    timer.abort();
  }

  async #kill(): Promise<void> {
    this.#killed = true;
    const runtime = this.#runtime;
    if (runtime === undefined) return;
    // Before the program runs, the runtime itself must be stopped, or it would go on to start it.
    if (!runtime.programStarted) runtime.kill();
    await killAll(this.#options.cgroups);
    this.output.absorb();
    const timer = new AbortController();
    await Promise.race([runtime.exited, delay(exitDeadlineMs, undefined, { signal: timer.signal })]);
    timer.abort();
    runtime.kill();
  }

  async #giveUpStarting(runtime: RuntimeProcess): Promise<void> {
    if (runtime.programStarted) return;
    this.#timedOut = true;
    await this.#kill().catch((error) => this.#fail(error));
  }

  /** A program that ended with unread output: nobody inside waits for the reader any more. */
  #absorbIfDead(): void {
    if (!this.output.stalled || !(this.#runtime?.programStarted ?? false)) return;
    if (processesIn(this.#options.cgroups).size === 0) this.output.absorb();
  }
}

/** The beginning of what a runtime has printed; who else holds its pipe is not waited for. */
async function readComplaint(stderr: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  const impatience = setTimeout(() => stderr.destroy(), complaintDeadlineMs);
  try {
    for await (const chunk of stderr) chunks.push(chunk);
  } catch {
    // Cut off; what has come is worth telling.
  } finally {
    clearTimeout(impatience);
  }
  return Buffer.concat(chunks).toString().slice(0, maxComplaint).replace(/\s+/g, ' ').trim();
}

/** From the moment when the runtime noted the program's start to the end of the runtime, in ms. */
function wallTime(runtime: RuntimeProcess): number {
  const launchedMs = performance.now() - runtime.launchedAtMs;
  const startedAtMs = runtime.programStartedAtMs;
  const seenMs = startedAtMs === undefined ? 0 : Date.now() - startedAtMs;
  return Math.round(Math.min(launchedMs, Math.max(0, seenMs)) * 1000) / 1000;
}

function startTimedOut(): SlipwayError {
  return new SlipwayError(
    'unavailable',
    'runtime-timeout',
    `The OCI runtime did not start the program within ${startDeadlineMs / 1000} s and was killed. Run "slipway doctor" to check it.`,
  );
}
