/** How far work has come, in words: one line as wide as a terminal, or a plain one for a log. */
import { formatBytes, formatDuration } from '../base/units.ts';
import { escapeText } from './terminal-text.ts';

export interface ProgressState {
  readonly title: string;
  readonly unit: 'bytes' | 'steps';
  readonly amount: number;
  /** Undefined while nobody knows. */
  readonly total: number | undefined;
  /** What is being done just now; may be hostile. */
  readonly detail: string;
  readonly elapsedMs: number;
  /** Bytes per second lately; undefined while that cannot be told. */
  readonly rate: number | undefined;
}

const barCells = 20;
const gap = '  ';

/** `sending data  ████░░░░ 45%  12 MB of 27 MB  3 s left  5 MB/s  a.csv`; what has no room is left out. */
export function toBarLine(state: ProgressState, columns: number): string {
  let line = truncate(escapeText(state.title), columns);
  for (const part of [barOf(state), amountOf(state), leftOf(state), rateOf(state)]) {
    if (part !== undefined && displayWidth(line) + gap.length + part.length <= columns) line += gap + part;
  }
  const room = columns - displayWidth(line) - gap.length;
  return state.detail === '' || room < 8 ? line : line + gap + truncate(escapeText(state.detail), room);
}

/** `sending data: 12 MB of 27 MB, 45%, 3 s left, 5 MB/s` */
export function toPlainLine(state: ProgressState): string {
  const parts = [amountOf(state), percentOf(state), leftOf(state), rateOf(state)];
  return `${escapeText(state.title)}: ${parts.filter((part) => part !== undefined).join(', ')}`;
}

function barOf(state: ProgressState): string | undefined {
  const percent = percentOf(state);
  if (percent === undefined) return undefined;
  const full = Math.round(shareOf(state) * barCells);
  return `${'█'.repeat(full)}${'░'.repeat(barCells - full)} ${percent.padStart(4)}`;
}

function percentOf(state: ProgressState): string | undefined {
  return state.total === undefined ? undefined : `${Math.floor(shareOf(state) * 100)}%`;
}

/** From 0 to 1; a folder may grow while it is read. */
function shareOf({ amount, total = 0 }: ProgressState): number {
  return total === 0 ? 0 : Math.min(1, amount / total);
}

function amountOf({ unit, amount, total }: ProgressState): string | undefined {
  if (unit === 'steps') return total === undefined ? undefined : `step ${amount} of ${total}`;
  return total === undefined ? formatBytes(amount) : `${formatBytes(amount)} of ${formatBytes(total)}`;
}

/** The time left where it can be told, else the time that has passed. */
function leftOf({ unit, amount, total, rate, elapsedMs }: ProgressState): string | undefined {
  if (unit === 'steps' || total === undefined) return formatSeconds(elapsedMs);
  if (rate === undefined || rate <= 0 || amount > total) return undefined;
  return `${formatSeconds(((total - amount) / rate) * 1000)} left`;
}

function rateOf({ unit, rate }: ProgressState): string | undefined {
  return unit === 'steps' || rate === undefined ? undefined : `${formatBytes(Math.round(rate))}/s`;
}

/** Whole seconds: what changes ten times a second cannot be read. */
function formatSeconds(ms: number): string {
  const seconds = Math.round(ms / 1000);
  return seconds === 0 ? '0 s' : formatDuration(seconds * 1000);
}

/** Emoji and East Asian characters take two columns; rather too wide than too narrow, so that no line wraps. */
const wide =
  /[\u1100-\u115f\u2329\u232a\u2600-\u27bf\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe10-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f000}-\u{3fffd}]|\p{Emoji_Presentation}/u;

/** How many columns of a terminal a text takes, at most. */
export function displayWidth(text: string): number {
  return Array.from(text, widthOf).reduce((sum, width) => sum + width, 0);
}

function widthOf(character: string): number {
  return wide.test(character) ? 2 : 1;
}

/** The beginning of a text, marked where it was cut. */
export function truncate(text: string, columns: number): string {
  if (displayWidth(text) <= columns) return text;
  let kept = '';
  let width = 1; // of the mark
  for (const character of text) {
    width += widthOf(character);
    if (width > columns) break;
    kept += character;
  }
  return columns < 1 ? '' : `${kept}…`;
}
