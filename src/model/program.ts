/** What a run executes: a script in an image with a runner, or a command in any image. */
import type { Digest } from '../base/digest.ts';

/**
 * How stdout and stderr are kept. `merged`: one pipe, in the exact order of the writes. `separate`: each
 * exact, their mutual order by arrival only (two pipes cannot give more).
 */
export type Streams = 'merged' | 'separate';

/** Which of the two a piece of output came from; `merged` output is all `stdout`. */
export type StreamName = 'stdout' | 'stderr';

/** A file of the program itself; its content is given by digest. */
export interface CodeFile {
  readonly path: string;
  readonly digest: Digest;
  readonly sizeBytes: number;
}

export type Program = ScriptProgram | CommandProgram;

/** A script for the runner of the image. */
export interface ScriptProgram {
  readonly kind: 'script';
  /** The path of the file to run, one of `files`. */
  readonly entry: string;
  readonly files: readonly CodeFile[];
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Any JSON value; null where the caller gave none. */
  readonly context: unknown;
  readonly streams: Streams;
}

/** A program that the image contains; needs no runner. */
export interface CommandProgram {
  readonly kind: 'command';
  /** Empty: the image's own entry point and command. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly streams: Streams;
}
