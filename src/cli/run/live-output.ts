/** A run's output on this process's stdout and stderr: exact bytes to a pipe, filtered on a terminal. */

import { formatBytes } from '../../base/units.ts';
import type { StreamName } from '../../model/program.ts';
import type { CliIo, OutputStream } from '../io.ts';
import { writeAll } from '../io.ts';
import { TerminalFilter } from '../terminal-text.ts';

export class LiveOutput {
  readonly #streams: Readonly<Record<StreamName, OutputStream>>;
  readonly #filters: Readonly<Record<StreamName, TerminalFilter | undefined>>;

  /** @param raw whether a terminal, too, gets the exact bytes */
  constructor(io: Pick<CliIo, 'stdout' | 'stderr'>, raw: boolean) {
    this.#streams = { stdout: io.stdout, stderr: io.stderr };
    const filterFor = (stream: OutputStream) => (stream.isTTY && !raw ? new TerminalFilter() : undefined);
    this.#filters = { stdout: filterFor(io.stdout), stderr: filterFor(io.stderr) };
  }

  async write(stream: StreamName, bytes: Uint8Array): Promise<void> {
    await writeAll(this.#streams[stream], this.#filters[stream]?.push(bytes) ?? bytes);
  }

  /** Says on stderr that something is missing here. */
  async cut(dropped: Readonly<Record<StreamName, number>>): Promise<void> {
    const bytes = formatBytes(dropped.stdout + dropped.stderr);
    await writeAll(this.#streams.stderr, `\n[slipway: ${bytes} of output were not kept]\n`);
  }

  async end(): Promise<void> {
    for (const stream of ['stdout', 'stderr'] as const) {
      const rest = this.#filters[stream]?.end() ?? '';
      if (rest !== '') await writeAll(this.#streams[stream], rest);
    }
  }
}
