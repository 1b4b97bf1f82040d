/**
 * Progress of work that reports lines of text: on a terminal one line that is overwritten, with the time
 * that passed; elsewhere every line.
 */
import { formatDuration } from '../base/units.ts';

/** What of a standard stream is needed. */
export interface TextSink {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export interface LineProgress extends AsyncDisposable {
  readonly line: (text: string) => void;
}

/** @param title shown in front of each line on a terminal */
export function createLineProgress(sink: TextSink, title: string): LineProgress {
  if (!sink.isTTY) {
    return {
      line: (text) => sink.write(`${printable(text)}\n`),
      [Symbol.asyncDispose]: async () => undefined,
    };
  }
  const started = performance.now();
  return {
    line(text) {
      const elapsed = formatDuration(performance.now() - started);
      const width = (sink.columns ?? 80) - 1;
      sink.write(`\r\u001b[K${`${title} · ${elapsed} · ${printable(text)}`.slice(0, width)}`);
    },
    async [Symbol.asyncDispose]() {
      sink.write('\r\u001b[K');
    },
  };
}

/** Output of a build may hold anything; a terminal gets text alone. */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]/gu, '');
}
