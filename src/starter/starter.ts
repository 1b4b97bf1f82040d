/**
 * The Starter port: the seam between the control plane and the only process that may create sandboxes. It
 * carries no host paths: inputs are streams, outputs are streams of entries. Implementations: `local-starter.ts`
 * (holds a runtime driver) and `remote-starter.ts` (speaks docs/starter-protocol.md to one). The starter
 * treats its caller as possibly compromised: it checks every order against the operator's ceilings and builds
 * the runtime's configuration itself.
 */
import type { Digest } from '../base/digest.ts';
import type { EgressTarget } from '../model/egress.ts';
import type { Image } from '../model/image.ts';
import type { Limits } from '../model/limits.ts';
import type { Program, StreamName } from '../model/program.ts';
import type { Outcome, RunId } from '../model/run.ts';
import type { Usage } from '../model/usage.ts';
import type { InputFile, Probe } from '../runtime/driver.ts';

export interface Starter extends AsyncDisposable {
  /** Never throws for a lack: the report says what is wrong. */
  probe(signal: AbortSignal): Promise<Probe>;
  listImages(signal: AbortSignal): Promise<readonly Image[]>;
  /** @throws SlipwayError `image-not-found` */
  resolveImage(reference: string, signal: AbortSignal): Promise<Image>;
  /**
   * Prepares a sandbox for a program and, after `go`, runs it once. The sandbox is gone when `events` ends,
   * however it ends; aborting `signal` destroys it at once.
   */
  execute(order: ExecutionOrder, feed: ExecutionFeed, signal: AbortSignal): Execution;
}

/** What to run; typed fields only. */
export interface ExecutionOrder {
  readonly run: RunId;
  readonly image: Digest;
  readonly program: Program;
  readonly limits: Limits;
  /** Patterns of files in /work to send back. */
  readonly outputs: readonly string[];
  /** Whether the caller will send stdin; without it the program reads EOF at once. */
  readonly stdin: boolean;
  /** The only hosts that the program may reach; the starter holds them to its own configuration. */
  readonly egress?: readonly EgressTarget[];
}

/** What streams in. */
export interface ExecutionFeed {
  /** The program's own files (`order.program.files`), in that order. */
  readonly code: AsyncIterable<InputFile>;
  /** Files for /data. */
  readonly inputs: AsyncIterable<InputFile>;
  readonly stdin: AsyncIterable<Uint8Array>;
}

export interface Execution {
  /**
   * In this order: `prepared`, then (after `go`) `started`, any number of `output`, `exited`, any number of
   * `file` and `skipped`. One reader, which sets the pace. Throws a SlipwayError when the platform failed.
   */
  readonly events: AsyncIterable<ExecutionEvent>;
  /** Lets the prepared program start; before this call no user code runs. */
  go(): void;
  /** Ends the program: SIGTERM, and SIGKILL after `graceMs`. The outcome becomes `cancelled`. */
  cancel(reason: string, graceMs: number): void;
}

export type ExecutionEvent =
  | { readonly type: 'prepared'; readonly sandbox: string }
  | { readonly type: 'started' }
  | { readonly type: 'output'; readonly stream: StreamName; readonly bytes: Uint8Array }
  | { readonly type: 'exited'; readonly outcome: Outcome; readonly usage: Usage }
  /** `content` must be read before the next event is asked for. */
  | {
      readonly type: 'file';
      readonly path: string;
      readonly sizeBytes: number;
      readonly content: AsyncIterable<Uint8Array>;
    }
  | { readonly type: 'skipped'; readonly path: string; readonly reason: string };
