/** A run's output on this process's stdout and stderr: exact bytes to a pipe, filtered on a terminal. */

import { formatBytes } from '../../base/units.ts';
import type { StreamName } from '../../model/program.ts';
import type { CliIo, OutputStream } from '../io.ts';
import { writeAll } from '../io.ts';
import { TerminalFilter } from '../terminal-text.ts';

/** For people, when the connection to a followed run is lost. */
export function lostNote(reason: string): string {
  return `slipway: ${reason} Trying again.`;
}

export class LiveOutput {
  readonly #streams: Readonly<Record<StreamName, OutputStream>>;
  readonly #filters: Readonly<Record<StreamName, TerminalFilter | undefined>>;
  /** Whether a terminal shows a line that has no end yet. */
  #isInLine = false;

  /** @param raw whether a terminal, too, gets the exact bytes */
  constructor(io: Pick<CliIo, 'stdout' | 'stderr'>, raw: boolean) {
    this.#streams = { stdout: io.stdout, stderr: io.stderr };
    const filterFor = (stream: OutputStream) => (stream.isTTY && !raw ? new TerminalFilter() : undefined);
    this.#filters = { stdout: filterFor(io.stdout), stderr: filterFor(io.stderr) };
  }

  async write(stream: StreamName, bytes: Uint8Array): Promise<void> {
    await this.#show(stream, this.#filters[stream]?.push(bytes) ?? bytes);
  }

  /** Says on stderr that something is missing here. */
  async cut(dropped: Readonly<Record<StreamName, number>>): Promise<void> {
    const bytes = formatBytes(dropped.stdout + dropped.stderr);
    await writeAll(this.#streams.stderr, `\n[slipway: ${bytes} of output were not kept]\n`);
  }

  async end(): Promise<void> {
    for (const stream of ['stdout', 'stderr'] as const) {
      const rest = this.#filters[stream]?.end() ?? '';
      if (rest !== '') await this.#show(stream, rest);
    }
  }

  /** So that something of ours can be shown below: a bar would wipe out the last line of the output. */
  async breakLine(): Promise<void> {
    if (this.#isInLine && this.#streams.stderr.isTTY) await writeAll(this.#streams.stderr, '\n');
    this.#isInLine = false;
  }

  async #show(stream: StreamName, text: Uint8Array | string): Promise<void> {
    const target = this.#streams[stream];
    if (target.isTTY && text.length > 0) this.#isInLine = text.at(-1) !== '\n' && text.at(-1) !== 0x0a;
    await writeAll(target, text);
  }
}
