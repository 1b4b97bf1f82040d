/** The process around a command: its streams, environment and signals; a test brings its own. */
import type { Readable, Writable } from 'node:stream';
import type { Environment } from '../config/env.ts';
import { readEnvironment } from '../config/env.ts';

export type OutputStream = Writable & { readonly isTTY?: boolean; readonly columns?: number };
export type InputStream = Readable & { readonly isTTY?: boolean };

/** The signals by which a person or a supervisor asks a command to end. */
export type StopSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP';

export interface CliIo {
  readonly stdin: InputStream;
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  readonly env: Environment;
  /** Whether this process may make sandboxes itself. */
  readonly isRoot: boolean;
  /** Calls the listener at every stop signal until it is disposed; meanwhile they do not end the process. */
  onStop(listener: (signal: StopSignal) => void): Disposable;
}

/** This process. */
export function processIo(): CliIo {
  return {
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    env: readEnvironment(),
    isRoot: process.getuid?.() === 0,
    onStop: listenToSignals,
  };
}

function listenToSignals(listener: (signal: StopSignal) => void): Disposable {
  const signals: readonly StopSignal[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  const listeners = signals.map((signal) => [signal, () => listener(signal)] as const);
  for (const [signal, listen] of listeners) process.on(signal, listen);
  return {
    [Symbol.dispose]: () => {
      for (const [signal, listen] of listeners) process.off(signal, listen);
    },
  };
}

/** Writes and waits until the stream takes more. Rejects when nobody reads any more (`EPIPE`). */
export function writeAll(stream: Writable, bytes: Uint8Array | string): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(bytes, (error) => (error ? reject(error) : resolve()));
  });
}
