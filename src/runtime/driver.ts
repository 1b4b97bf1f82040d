/**
 * The runtime driver contract: how sandboxes are made. Implementations: `oci/` (an OCI runtime called
 * directly). A driver knows sandboxes, not runs: limits in time and output, pools and the reaper's schedule
 * belong to the starter. Every driver passes tests/contract/driver.ts and tests/hostile/.
 *
 * A sandbox's life, and who calls what:
 *
 *   create ─▶ (supply) ─▶ start ─▶ connect · stdin · logs ─▶ wait ─▶ collect ─▶ destroy
 *
 *  1. `create` allocates everything and runs no user code. If it throws, nothing is left.
 *  2. `destroy` is idempotent, may be called at any point and concurrently with anything, and leaves nothing:
 *     no process, mount, cgroup, directory, socket, id range. `remove(ref)` does the same from the reference
 *     alone, after a crash.
 *  3. What user code does never throws: it is an ExitStatus. A method throws only when the platform failed
 *     (`kind: 'internal' | 'unavailable'`) or the spec cannot be honoured (`kind: 'unsupported'`): a spec is
 *     never silently weakened.
 *  4. `logs` is consumed by exactly one reader, which sets the pace: a slow reader blocks the program, not
 *     the driver. It ends when everything inside is dead. `wait` may be called often and resolves once all
 *     inside is dead and what it used has been measured; nothing inside runs after that.
 *  5. Signals given to methods cancel the waiting, not the clean-up.
 *  6. Everything made carries the install id, so that `list` finds it without asking the runtime.
 */
import type { Socket } from 'node:net';
import type { Duplex, Writable } from 'node:stream';
import type { Control } from '../model/control.ts';
import type { Image } from '../model/image.ts';
import type { Limits } from '../model/limits.ts';
import type { StreamName, Streams } from '../model/program.ts';
import type { ExitStatus } from '../model/usage.ts';

export type DriverName = 'oci' | 'docker' | 'kubernetes';

export interface RuntimeDriver extends AsyncDisposable {
  readonly name: DriverName;
  readonly capabilities: RuntimeCapabilities;
  /** Whether sandboxes can be made here, which controls are on, and if not, why. Never throws for a lack. */
  probe(signal: AbortSignal): Promise<Probe>;
  create(spec: SandboxSpec, signal: AbortSignal): Promise<Sandbox>;
  /** A running sandbox of an earlier process, or undefined where that is not possible or it is gone. */
  attach(ref: SandboxRef, signal: AbortSignal): Promise<Sandbox | undefined>;
  /** Everything of this install that exists in any trace, whoever made it; not the runtime's own list. */
  list(signal: AbortSignal): AsyncIterable<SandboxRef>;
  /** Destroys whatever exists of a sandbox. */
  remove(ref: SandboxRef): Promise<void>;
}

/** What a driver can do; a lack selects the opposite contract test (it must refuse). */
export interface RuntimeCapabilities {
  /** `attach` can find sandboxes of an earlier process. */
  readonly attach: boolean;
  /** `supply` works after `start`, where the spec has `lateInputs`. */
  readonly lateSupply: boolean;
  /** Uses beyond `command`. */
  readonly runner: boolean;
  readonly server: boolean;
  /** A spec may have an `outlet`. */
  readonly outlet: boolean;
}

/** The state of a driver on this host, for `slipway doctor` and readiness. */
export interface Probe {
  readonly driver: DriverName;
  /** False if no sandbox can be made; `problems` says why. */
  readonly usable: boolean;
  readonly problems: readonly string[];
  readonly runtime: { readonly name: string; readonly version: string } | null;
  readonly controls: readonly Control[];
  /** Which of the figures of `Usage` this host can measure, by their names. */
  readonly measures: readonly string[];
}

/** Plain JSON, stored before `start`. */
export interface SandboxRef {
  readonly driver: DriverName;
  /** `sw-<install>-<starter>-<sandbox>`: safe in paths and cgroup names. */
  readonly name: string;
  readonly install: string;
  /** The starter process that made it. */
  readonly starter: string;
}

export interface SandboxSpec {
  /** The last part of the sandbox's name: lower-case letters and digits, at most 32. */
  readonly id: string;
  readonly image: Image;
  readonly use: SandboxUse;
  /** Added to the image's own environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly limits: Limits;
  /** `supply` will come after `start`: for a driver with the capability `lateSupply`. */
  readonly lateInputs?: boolean;
  /** The one way out: for a driver with the capability `outlet`. */
  readonly outlet?: SandboxOutlet;
}

/** A TCP port of 127.0.0.1 inside, open before the program runs; the sandbox has no other network all the same. */
export interface SandboxOutlet {
  readonly port: number;
  /** Takes each connection that the program makes to it; hostile, and half-open where the program has ended its side. */
  readonly accept: (connection: Socket) => void;
}

export type SandboxUse =
  | { readonly kind: 'command'; readonly argv: readonly string[]; readonly streams: Streams }
  /** The runner named by the image; it merges streams by itself. */
  | { readonly kind: 'runner' }
  /** An HTTP server inside, listening on a TCP port of loopback or of any address. */
  | { readonly kind: 'server'; readonly argv: readonly string[]; readonly port: number };

/** Where a server sandbox can be reached from the starter's process. */
export type Address = { readonly kind: 'unix'; readonly path: string };

export interface LogChunk {
  readonly stream: StreamName;
  readonly bytes: Uint8Array;
}

/** A file for /data. `path` is relative, with `/` between the parts, already checked (model/paths.ts). */
export interface InputFile {
  readonly path: string;
  readonly sizeBytes: number;
  readonly content: AsyncIterable<Uint8Array>;
}

export interface CollectRules {
  readonly patterns: readonly string[];
  readonly maxFiles: number;
  readonly maxBytes: number;
}

/** What was found in /work. Content must be read before the next entry is asked for. */
export type CollectedEntry =
  | {
      readonly kind: 'file';
      readonly path: string;
      readonly sizeBytes: number;
      readonly content: AsyncIterable<Uint8Array>;
    }
  | { readonly kind: 'skipped'; readonly path: string; readonly reason: string };

export interface Sandbox extends AsyncDisposable {
  readonly ref: SandboxRef;
  /** Puts read-only files at /data, before `start`; or once, before or after it, where the spec has `lateInputs`. */
  supply(inputs: AsyncIterable<InputFile>, signal: AbortSignal): Promise<void>;
  /** Runs the program. Resolves when the runtime was launched; user code may not have begun yet. */
  start(signal: AbortSignal): Promise<void>;
  /** `runner`: the inherited channel. Callable once, after `start`. */
  channel(): Duplex;
  /** `server`: an address that forwards to the port inside, once something listens there. */
  connect(signal: AbortSignal): Promise<Address>;
  /**
   * From now on `usage` counts only what is used after this moment (peaks where the kernel can start them anew):
   * what a sandbox used to get ready is not the run's.
   *
   * @returns the memory that it holds now, in bytes; null where that cannot be measured
   */
  beginUsage(): Promise<{ readonly memoryBytes: number | null }>;
  /** The program's standard input; end it to give EOF. */
  readonly stdin: Writable;
  logs(signal: AbortSignal): AsyncIterable<LogChunk>;
  wait(signal: AbortSignal): Promise<ExitStatus>;
  /** SIGTERM to the program, SIGKILL to everything inside after `graceMs` (0: at once). */
  stop(graceMs: number): Promise<void>;
  /** After `wait` and before `destroy`: the files in /work, links never followed. */
  collect(rules: CollectRules, signal: AbortSignal): AsyncIterable<CollectedEntry>;
  destroy(): Promise<void>;
}
