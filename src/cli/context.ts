/** What every command gets: the process around it, the parts, and the configuration, read when it is needed. */
import type { Command } from 'commander';
import { SlipwayError } from '../base/errors.ts';
import type { Client } from '../client/client.ts';
import type { Config } from '../config/config.ts';
import { parseConfig } from '../config/config.ts';
import { readClientToken } from '../config/secrets.ts';
import type { CliIo } from './io.ts';
import { writeAll } from './io.ts';
import type { Paint } from './paint.ts';
import { paintFor } from './paint.ts';
import type { CliParts } from './parts.ts';
import type { Progress, ProgressOptions } from './progress.ts';
import { createProgress } from './progress.ts';

export class CliContext {
  readonly io: CliIo;
  readonly parts: CliParts;
  /** For what goes to stdout and to stderr. */
  readonly paint: { readonly stdout: Paint; readonly stderr: Paint };
  #config: Config | undefined;
  #progress: Progress | undefined;
  /** What the command ends with; a command that fails throws. */
  exitCode = 0;

  constructor(io: CliIo, parts: CliParts) {
    this.io = io;
    this.parts = parts;
    this.paint = { stdout: paintFor(io.stdout, io.env), stderr: paintFor(io.stderr, io.env) };
  }

  /** @throws SlipwayError `bad-config` */
  get config(): Config {
    this.#config ??= parseConfig(this.io.env);
    return this.#config;
  }

  print(text: string): Promise<void> {
    return writeAll(this.io.stdout, text);
  }

  printJson(value: unknown): Promise<void> {
    return this.print(`${JSON.stringify(value, null, 2)}\n`);
  }

  /** A remark for people, on stderr, so that stdout stays what was asked for. */
  note(text: string): Promise<void> {
    this.#progress?.hide();
    return writeAll(this.io.stderr, `${text}\n`);
  }

  /** A progress bar on stderr, instead of the one before. */
  progress(options: ProgressOptions): Progress {
    this.endProgress();
    const plain = options.plain === true || this.io.env['TERM'] === 'dumb';
    this.#progress = createProgress(this.io.stderr, { ...options, plain });
    return this.#progress;
  }

  /** Removes what a command that failed has left. */
  endProgress(): void {
    this.#progress?.[Symbol.dispose]();
    this.#progress = undefined;
  }

  /** A client of the named server, of SLIPWAY_URL, or of this machine's service; loaded only here. */
  async client(server?: string): Promise<Client> {
    const { createClient } = await import('../client/client.ts');
    const url = server ?? this.config.client.url ?? serviceUrl(this.config);
    return createClient({ url, token: readClientToken(this.config, url) });
  }

  /** @throws SlipwayError `needs-root` */
  requireRoot(what: string, command: string): void {
    if (this.io.isRoot) return;
    throw new SlipwayError(
      'forbidden',
      'needs-root',
      `${what} needs root, because it makes sandboxes. Type: sudo slipway ${command}`,
    );
  }
}

/** The URL of the service that this configuration starts. */
export function serviceUrl({ listen }: Pick<Config, 'listen'>): string {
  if (listen.kind === 'unix') return `unix:${listen.path}`;
  const host = listen.host.includes(':') ? `[${listen.host}]` : listen.host;
  return `http://${host}:${listen.port}`;
}

/** Adds one command to the program. */
export type AddCommand = (program: Command, context: CliContext) => void;

/** The options of a command and of the program above it. */
export interface GlobalOptions {
  readonly json?: boolean;
}
