/**
 * Progress of long work on stderr: on a terminal one line that is drawn again and again, and gone without a trace
 * when the work is done; elsewhere a plain line every few seconds. Nothing of it goes to stdout. How the line
 * looks is progress-text.ts; steps of an image build are step-progress.ts.
 */
import type { Clock } from '../base/clock.ts';
import { systemClock } from '../base/clock.ts';
import type { ProgressState } from './progress-text.ts';
import { toBarLine, toPlainLine } from './progress-text.ts';

/** What of a standard stream is needed. */
export interface TextSink {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export interface ProgressOptions {
  readonly title: string;
  readonly unit: ProgressState['unit'];
  /** How much there is to do, if that is known. */
  readonly total?: number;
  /** Finds out how much there is; asked only if the work takes long enough to be shown. */
  readonly measure?: () => Promise<number>;
  /** Whether even a terminal gets plain lines, as with --json. */
  readonly plain?: boolean;
}

/** Disposing it removes it from the terminal. */
export interface Progress extends Disposable {
  /** So much more is done. Cheap: nothing is drawn here. */
  advance(amount: number, detail?: string): void;
  /** So much is done, of so much. */
  set(amount: number, total: number | undefined, detail?: string): void;
  /** Clears the line, for something else to be printed; the next drawing shows it again. */
  hide(): void;
}

const drawEveryMs = 100;
const tellEveryMs = 5000;
/** Also without news, because time passes. */
const refreshMs = 1000;
/** The rate is that of the last seconds. */
const rateWindowMs = 5000;

export function createProgress(sink: TextSink, options: ProgressOptions, clock?: Clock): Progress {
  return new StreamProgress(sink, options, clock ?? systemClock);
}

class StreamProgress implements Progress {
  readonly #sink: TextSink;
  readonly #options: ProgressOptions;
  readonly #clock: Clock;
  readonly #startedAt: number;
  readonly #timer: NodeJS.Timeout;
  #samples: { readonly at: number; readonly amount: number }[];
  #amount = 0;
  #total: number | undefined;
  #detail = '';
  #changed = true;
  #shownAt: number | undefined;
  #measuring = false;

  constructor(sink: TextSink, options: ProgressOptions, clock: Clock) {
    this.#sink = sink;
    this.#options = options;
    this.#clock = clock;
    this.#total = options.total;
    this.#startedAt = clock.elapsed();
    this.#samples = [{ at: this.#startedAt, amount: 0 }];
    const draws = sink.isTTY === true && options.plain !== true;
    this.#timer = draws
      ? setInterval(() => this.#draw(), drawEveryMs)
      : setInterval(() => this.#tell(), tellEveryMs);
    this.#timer.unref();
  }

  advance(amount: number, detail?: string): void {
    this.set(this.#amount + amount, this.#total, detail);
  }

  set(amount: number, total: number | undefined, detail = this.#detail): void {
    this.#amount = amount;
    this.#total = total;
    this.#detail = detail;
    this.#changed = true;
  }

  hide(): void {
    if (this.#shownAt !== undefined) this.#sink.write('\r\u001b[K');
    this.#shownAt = undefined;
    this.#changed = true;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.hide();
  }

  #draw(): void {
    const now = this.#clock.elapsed();
    if (!this.#changed && now - (this.#shownAt ?? 0) < refreshMs) return;
    const columns = (this.#sink.columns || 80) - 1; // a full line would wrap
    this.#sink.write(`\r\u001b[K${toBarLine(this.#state(now), columns)}`);
    this.#shownAt = now;
    this.#changed = false;
  }

  #tell(): void {
    this.#sink.write(`${toPlainLine(this.#state(this.#clock.elapsed()))}\n`);
  }

  #state(now: number): ProgressState {
    this.#measure();
    const { title, unit } = this.#options;
    const [amount, total, detail] = [this.#amount, this.#total, this.#detail];
    return { title, unit, amount, total, detail, elapsedMs: now - this.#startedAt, rate: this.#rate(now) };
  }

  #rate(now: number): number | undefined {
    this.#samples.push({ at: now, amount: this.#amount });
    const recent = this.#samples.findIndex(({ at }) => now - at <= rateWindowMs);
    this.#samples.splice(0, Math.min(recent, this.#samples.length - 2)); // two are needed
    const first = this.#samples[0];
    if (first === undefined || now <= first.at) return undefined;
    return ((this.#amount - first.amount) / (now - first.at)) * 1000;
  }

  /** Where the total cannot be found out, the work itself will say why. */
  #measure(): void {
    if (this.#measuring || this.#options.measure === undefined) return;
    this.#measuring = true;
    this.#options.measure().then(
      (total) => this.set(this.#amount, total),
      () => undefined,
    );
  }
}
