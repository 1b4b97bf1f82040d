/** Where `slipway run` runs: in a starter of this process (local-run.ts) or on a server (remote-run.ts). */
import type { Digest } from '../../base/digest.ts';
import type { EgressTarget } from '../../model/egress.ts';
import type { Limits } from '../../model/limits.ts';
import type { StreamName, Streams } from '../../model/program.ts';
import type { Outcome, SkippedFile } from '../../model/run.ts';
import type { Usage } from '../../model/usage.ts';

export interface RunBackend {
  /**
   * Runs once; everything goes to the sink while it happens.
   *
   * @throws SlipwayError when the platform failed; what the program does is in the report
   */
  run(request: RunRequest, sink: RunSink, stop: StopSignals): Promise<RunReport>;
}

/** `cancel` asks the program to end; `kill` ends everything at once. */
export interface StopSignals {
  readonly cancel: AbortSignal;
  readonly kill: AbortSignal;
}

export interface RunRequest {
  readonly image: string;
  readonly program: LocalProgram;
  /** What was asked for; the site's defaults fill the gaps. */
  readonly limits: Partial<Limits>;
  /** Files for /data, read when they are needed. */
  readonly data: AsyncIterable<LocalFile>;
  readonly stdin: AsyncIterable<Uint8Array> | undefined;
  readonly outputs: readonly string[];
  /** The only hosts that it may reach. */
  readonly egress: readonly EgressTarget[];
}

export type LocalProgram =
  | {
      readonly kind: 'script';
      readonly entry: string;
      readonly files: readonly LocalFile[];
      readonly args: readonly string[];
      readonly env: Readonly<Record<string, string>>;
      readonly context: unknown;
      readonly streams: Streams;
    }
  | {
      readonly kind: 'command';
      readonly argv: readonly string[];
      readonly env: Readonly<Record<string, string>>;
      readonly streams: Streams;
    };

/** A file here, to be read once, as a stream of exactly `sizeBytes`. */
export interface LocalFile {
  readonly path: string;
  readonly sizeBytes: number;
  read(): AsyncIterable<Uint8Array>;
}

/** Receives what a run produces; each promise sets the pace. */
export interface RunSink {
  output(stream: StreamName, bytes: Uint8Array): Promise<void>;
  /** Output that a server did not keep. */
  cut(dropped: Readonly<Record<StreamName, number>>): Promise<void>;
  /** Files come now, so many bytes in all; told only where that is known. */
  expectFiles?(totalBytes: number): void;
  file(path: string, sizeBytes: number, content: AsyncIterable<Uint8Array>): Promise<void>;
}

export interface RunReport {
  readonly id: string;
  readonly image: { readonly name: string; readonly digest: Digest };
  readonly outcome: Outcome;
  readonly usage: Usage | null;
  readonly limits: Limits;
  readonly files: readonly { readonly path: string; readonly sizeBytes: number }[];
  readonly skipped: readonly SkippedFile[];
}
