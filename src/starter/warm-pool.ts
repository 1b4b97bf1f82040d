/**
 * Started, ready, single-use sandboxes, kept per image and limits, so that a script does not wait for a sandbox
 * to start. A claim takes one out for good: a sandbox never serves two runs. The pool follows demand: as many
 * of a kind are kept as were claimed lately, up to a maximum for each kind and a memory budget for all; what
 * nobody claims is destroyed after an idle time. Not here: what a run does with one (execute-order.ts).
 */
import type { Clock } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import { randomText } from '../base/ids.ts';
import type { RuntimeDriver, SandboxSpec } from '../runtime/driver.ts';
import { startWarm, type WarmSandbox } from './warm-sandbox.ts';

export interface WarmPoolOptions {
  readonly driver: RuntimeDriver;
  readonly clock: Clock;
  readonly settings: WarmPoolSettings;
  /** The ids of sandboxes that somebody looks after; the reaper leaves them alone. */
  readonly tended: Set<string>;
  /** A sandbox could not be made ready; the pool tries that kind again later. */
  readonly onFailed?: ((reason: string) => void) | undefined;
}

export interface WarmPoolSettings {
  /** At most this many ready sandboxes of one kind; 0 switches the pool off. */
  readonly maxPerKind: number;
  /** What all idle sandboxes together may hold, in bytes. */
  readonly memoryBytes: number;
  /** A sandbox that nobody claims for so long is destroyed, in ms. */
  readonly idleMs: number;
}

interface Idle {
  readonly warm: WarmSandbox;
  readonly spec: SandboxSpec;
  readonly since: number;
}

/** Sandboxes with the same image, limits and preloaded modules. */
interface Kind {
  readonly spec: SandboxSpec;
  readonly idle: Idle[];
  starting: number;
  /** When it was claimed of late. */
  claims: number[];
  retryAt: number;
}

/** Claims of this time decide how many are kept. */
const demandWindowMs = 10_000;
const retryAfterMs = 30_000;
const sweepMs = 1000;
/** What a sandbox counts with while it is not measured, in bytes. */
const assumedBytes = 64 * 1024 * 1024;
/** Starting competes with running for the same processors. */
const maxStarting = 2;

export class WarmPool implements AsyncDisposable {
  readonly #options: WarmPoolOptions;
  readonly #kinds = new Map<string, Kind>();
  readonly #stopping = new AbortController();
  readonly #work = new Set<Promise<void>>();
  readonly #sweeping: NodeJS.Timeout;

  constructor(options: WarmPoolOptions) {
    this.#options = options;
    this.#sweeping = setInterval(() => this.#sweep(), sweepMs).unref();
  }

  /** Ready sandboxes that wait for a claim, of all kinds. */
  get idleCount(): number {
    return [...this.#kinds.values()].reduce((sum, kind) => sum + kind.idle.length, 0);
  }

  /**
   * Takes a ready sandbox for a spec with the use `runner` (its id does not matter), if there is one, and notes
   * the demand. The caller destroys it, and tends it until then.
   *
   * @param modules to be preloaded, of those that the image names
   */
  claim(spec: SandboxSpec, modules: readonly string[] = []): WarmSandbox | undefined {
    if (this.#options.settings.maxPerKind === 0 || this.#stopping.signal.aborted) return undefined;
    const kind = this.#kindOf(withPreload(spec, modules));
    kind.claims.push(this.#options.clock.elapsed());
    const taken = kind.idle.shift();
    this.#refill(kind);
    return taken?.warm;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#sweeping);
    this.#stopping.abort();
    for (const kind of this.#kinds.values()) for (const idle of kind.idle.splice(0)) this.#discard(idle);
    while (this.#work.size > 0) await Promise.all(this.#work);
  }

  #kindOf(spec: SandboxSpec): Kind {
    const key = kindKey(spec);
    const known = this.#kinds.get(key);
    if (known !== undefined) return known;
    const kind: Kind = { spec, idle: [], starting: 0, claims: [], retryAt: 0 };
    this.#kinds.set(key, kind);
    return kind;
  }

  #refill(kind: Kind): void {
    while (this.#mayStart(kind)) {
      kind.starting += 1;
      this.#track(this.#startOne(kind));
    }
  }

  #mayStart(kind: Kind): boolean {
    if (this.#stopping.signal.aborted || this.#options.clock.elapsed() < kind.retryAt) return false;
    const wanted = Math.min(this.#options.settings.maxPerKind, this.#demandOf(kind));
    return kind.idle.length + kind.starting < wanted && this.#starting < maxStarting && this.#hasRoom();
  }

  /** As many as were claimed lately; at least one while it may still be claimed again. */
  #demandOf(kind: Kind): number {
    const now = this.#options.clock.elapsed();
    kind.claims = kind.claims.filter(
      (at) => now - at < Math.max(demandWindowMs, this.#options.settings.idleMs),
    );
    const recent = kind.claims.filter((at) => now - at < demandWindowMs).length;
    return kind.claims.length === 0 ? 0 : Math.max(1, recent);
  }

  get #starting(): number {
    return [...this.#kinds.values()].reduce((sum, kind) => sum + kind.starting, 0);
  }

  #hasRoom(): boolean {
    let held = assumedBytes * (this.#starting + 1);
    for (const { idle } of this.#kinds.values())
      for (const { warm } of idle) held += warm.memoryBytes ?? assumedBytes;
    return held <= this.#options.settings.memoryBytes;
  }

  async #startOne(kind: Kind): Promise<void> {
    const { driver, clock, tended, onFailed } = this.#options;
    const spec = { ...kind.spec, id: randomText(20), lateInputs: driver.capabilities.lateSupply };
    tended.add(spec.id);
    try {
      const warm = await startWarm(driver, spec, this.#stopping.signal);
      const idle = { warm, spec, since: clock.elapsed() };
      kind.idle.push(idle);
      warm.ended.addEventListener('abort', () => this.#drop(kind, idle), { once: true });
      if (this.#stopping.signal.aborted) this.#drop(kind, idle);
    } catch (error) {
      tended.delete(spec.id);
      kind.retryAt = clock.elapsed() + retryAfterMs;
      if (!this.#stopping.signal.aborted) onFailed?.(messageOf(error));
    } finally {
      kind.starting -= 1;
      this.#refillAll();
    }
  }

  #refillAll(): void {
    for (const kind of this.#kinds.values()) this.#refill(kind);
  }

  #sweep(): void {
    const now = this.#options.clock.elapsed();
    for (const [key, kind] of this.#kinds) {
      for (const idle of [...kind.idle]) {
        if (now - idle.since >= this.#options.settings.idleMs) this.#drop(kind, idle);
      }
      if (this.#demandOf(kind) === 0 && kind.idle.length + kind.starting === 0) this.#kinds.delete(key);
    }
    this.#refillAll();
  }

  /** Takes a sandbox out of its pool and destroys it, unless somebody has claimed it. */
  #drop(kind: Kind, idle: Idle): void {
    const at = kind.idle.indexOf(idle);
    if (at < 0) return;
    kind.idle.splice(at, 1);
    this.#discard(idle);
  }

  #discard({ warm, spec }: Idle): void {
    this.#track(this.#destroy(warm, spec.id));
  }

  async #destroy(warm: WarmSandbox, id: string): Promise<void> {
    try {
      await warm[Symbol.asyncDispose]();
    } catch (error) {
      this.#options.onFailed?.(messageOf(error));
    } finally {
      this.#options.tended.delete(id);
    }
  }

  #track(work: Promise<void>): void {
    this.#work.add(work);
    void work.finally(() => this.#work.delete(work));
  }
}

/** Preloaded modules count as the run's memory, so a small sandbox goes without. */
const minPreloadBytes = 256 * 1024 * 1024;

function withPreload(spec: SandboxSpec, modules: readonly string[]): SandboxSpec {
  if (modules.length === 0 || spec.limits.memoryBytes < minPreloadBytes) return spec;
  return { ...spec, env: { ...spec.env, SLIPWAY_PRELOAD: modules.join(',') } };
}

function kindKey({ image, limits, env }: SandboxSpec): string {
  const { memoryBytes, cpus, pids, workBytes, workInodes, tmpBytes, openFiles } = limits;
  return JSON.stringify([
    image.digest,
    env,
    memoryBytes,
    cpus,
    pids,
    workBytes,
    workInodes,
    tmpBytes,
    openFiles,
  ]);
}
