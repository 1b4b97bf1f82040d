/** A command line in this process, with streams that are kept, for tests of the CLI. */
import { PassThrough, Readable } from 'node:stream';
import type { CliIo, StopSignal } from '../../src/cli/io.ts';
import { runCli } from '../../src/cli/main.ts';
import type { CliParts, OpenStarter } from '../../src/cli/parts.ts';
import type { Starter } from '../../src/starter/starter.ts';

export interface CliCall {
  readonly env?: Readonly<Record<string, string>>;
  /** Its text, or the stream itself. */
  readonly stdin?: string | Readable;
  readonly isRoot?: boolean;
  readonly isTerminal?: boolean;
  readonly parts?: Partial<CliParts>;
}

export interface CliResult {
  readonly exitCode: number;
  readonly stdout: Buffer;
  readonly stderr: string;
}

export interface RunningCli {
  readonly result: Promise<CliResult>;
  /** What came on stdout so far. */
  output(): string;
  errors(): string;
  signal(signal: StopSignal): void;
}

const noParts: CliParts = {
  openStarter: async () => Promise.reject(new Error('the test has no starter')),
  startService: async () => Promise.reject(new Error('the test has no service')),
};

/** A starter as the composition root would hand it in, with sound images. */
export function openStarterOf(starter: Starter, damages: readonly string[] = []): OpenStarter {
  return {
    starter,
    images: { damages: async () => damages },
    [Symbol.asyncDispose]: async () => undefined,
  };
}

export function startCli(argv: readonly string[], call: CliCall = {}): RunningCli {
  const listeners = new Set<(signal: StopSignal) => void>();
  const stdout = keep(call.isTerminal ?? false);
  const stderr = keep(call.isTerminal ?? false);
  const io: CliIo = {
    stdin: toStdin(call.stdin),
    stdout: stdout.stream,
    stderr: stderr.stream,
    env: call.env ?? {},
    isRoot: call.isRoot ?? false,
    onStop(listener) {
      listeners.add(listener);
      return { [Symbol.dispose]: () => void listeners.delete(listener) };
    },
  };
  const finish = async (): Promise<CliResult> => {
    const exitCode = await runCli(argv, io, { ...noParts, ...call.parts });
    return {
      exitCode,
      stdout: Buffer.concat(stdout.chunks),
      stderr: Buffer.concat(stderr.chunks).toString(),
    };
  };
  return {
    result: finish(),
    output: () => Buffer.concat(stdout.chunks).toString(),
    errors: () => Buffer.concat(stderr.chunks).toString(),
    signal: (signal) => {
      for (const listener of listeners) listener(signal);
    },
  };
}

export function callCli(argv: readonly string[], call: CliCall = {}): Promise<CliResult> {
  return startCli(argv, call).result;
}

function toStdin(stdin: CliCall['stdin']): Readable {
  if (stdin instanceof Readable) return stdin;
  return Readable.from(stdin === undefined ? [] : [Buffer.from(stdin)], { objectMode: false });
}

function keep(isTTY: boolean): { stream: PassThrough & { isTTY: boolean }; chunks: Buffer[] } {
  const stream = Object.assign(new PassThrough(), { isTTY });
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  return { stream, chunks };
}
