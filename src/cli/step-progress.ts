/**
 * Progress of work that reports lines of text, among them steps (`STEP 3/7: RUN …` of a build, `unpacking layer 2
 * of 5`): on a terminal a bar of the steps with the newest line, elsewhere every line.
 */
import type { Clock } from '../base/clock.ts';
import type { TextSink } from './progress.ts';
import { createProgress } from './progress.ts';
import { escapeText } from './terminal-text.ts';

export interface StepProgress extends AsyncDisposable {
  /** A line of the work; may be hostile. */
  readonly line: (text: string) => void;
}

/** @param title shown in front, on a terminal */
export function createStepProgress(sink: TextSink, title: string, clock?: Clock): StepProgress {
  if (sink.isTTY !== true) {
    return {
      line: (text) => sink.write(`${escapeText(text)}\n`),
      [Symbol.asyncDispose]: async () => undefined,
    };
  }
  const progress = createProgress(sink, { title, unit: 'steps' }, clock);
  let [step, steps]: [number, number | undefined] = [0, undefined];
  return {
    line(text) {
      [step, steps] = parseStep(text) ?? [step, steps];
      progress.set(step, steps, text);
    },
    [Symbol.asyncDispose]: async () => progress[Symbol.dispose](),
  };
}

/** Which step of how many a line begins, if it says so. */
export function parseStep(line: string): [step: number, steps: number] | undefined {
  const match =
    /^(?:\[\d+\/\d+\] )?STEP (\d{1,4})\/(\d{1,4})\b/.exec(line) ??
    /\blayer (\d{1,4}) of (\d{1,4})\b/.exec(line);
  const [step, steps] = [Number(match?.[1]), Number(match?.[2])];
  return steps > 0 && step <= steps ? [step, steps] : undefined;
}
