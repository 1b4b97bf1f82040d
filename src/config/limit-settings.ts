/** The settings of limits, made from model/limits.ts: `SLIPWAY_DEFAULT_MEMORY`, `SLIPWAY_MAX_WALL_TIME`, … */
import { parseDuration, parseSize } from '../base/units.ts';
import type { Limits } from '../model/limits.ts';
import { limitNames, limitsSchema } from '../model/limits.ts';
import type { Setting } from './setting.ts';

export type LimitName = keyof Limits;

/** What each limit is, in words. */
const meanings: Readonly<Record<LimitName, string>> = {
  wallTimeMs: 'wall-clock time of a run',
  memoryBytes: 'memory of everything in a sandbox, tmpfs included',
  cpus: 'processor time per second, in CPUs',
  pids: 'processes and threads at one moment',
  workBytes: 'size of /work',
  workInodes: 'files and directories in /work',
  tmpBytes: 'size of each tmpfs (/tmp, /dev/shm, home)',
  openFiles: 'open files of one process',
  outputBytes: 'output after which a run is ended',
  keptOutputBytes: 'output that is kept',
  resultFiles: 'number of result files',
  resultBytes: 'size of all result files together',
  egressBytes: 'bytes sent and received through the egress proxy',
};

/** A limit as people name it: `wall-time`, `memory`, `kept-output`. Without its unit, in kebab-case. */
export function limitWord(name: LimitName): string {
  const bare = name.replace(/(Ms|Bytes)$/, '');
  return bare.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** The variable of a limit: `SLIPWAY_MAX_KEPT_OUTPUT`. */
export function limitVariable(prefix: 'DEFAULT' | 'MAX', name: LimitName): string {
  return `SLIPWAY_${prefix}_${limitWord(name).replaceAll('-', '_').toUpperCase()}`;
}

/** One setting for each limit. */
export function limitSettings(
  prefix: 'DEFAULT' | 'MAX',
  initial: Limits,
): Record<LimitName, Setting<number>> {
  const entries = limitNames.map((name) => [name, limitSetting(prefix, name, initial[name])]);
  return Object.fromEntries(entries); // typed by `limitNames`, which has every name once
}

function limitSetting(prefix: 'DEFAULT' | 'MAX', name: LimitName, initial: number): Setting<number> {
  const purpose = prefix === 'MAX' ? 'Most a run may ask for' : 'Where a run does not ask';
  return {
    name: limitVariable(prefix, name),
    shape: shapeOf(name),
    initial: formatLimit(name, initial),
    meaning: `${purpose}: ${meanings[name]}.`,
    parse: (text) => parseLimit(name, text),
  };
}

function shapeOf(name: LimitName): string {
  if (name.endsWith('Ms')) return 'a duration such as 30s';
  if (name.endsWith('Bytes')) return 'a size such as 512mb';
  return name === 'cpus' ? 'a number such as 0.5' : 'a whole number';
}

/**
 * A limit as people write it (`30s`, `512mb`, `4`).
 *
 * @throws Error that says what is wrong
 */
export function parseLimit(name: LimitName, text: string): number {
  const parsed = limitsSchema.shape[name].safeParse(quantity(name, text));
  if (parsed.success) return parsed.data;
  throw new Error(`"${text}" cannot be used: ${parsed.error.issues[0]?.message ?? 'out of range'}`);
}

function quantity(name: LimitName, text: string): number {
  if (name.endsWith('Ms')) return parseDuration(text);
  if (name.endsWith('Bytes')) return parseSize(text);
  return text.trim() === '' ? Number.NaN : Number(text);
}

/** A limit exactly as one would write it: `60s`, `512mib`, `256`. */
export function formatLimit(name: LimitName, value: number): string {
  if (name.endsWith('Ms')) return exact(value, { d: 86_400_000, h: 3_600_000, s: 1000 }, 'ms');
  if (name.endsWith('Bytes')) return exact(value, { gib: 1024 ** 3, mib: 1024 ** 2, kib: 1024 }, 'b');
  return String(value);
}

function exact(value: number, units: Readonly<Record<string, number>>, least: string): string {
  const unit = Object.entries(units).find(([, size]) => value >= size && value % size === 0);
  return unit === undefined ? `${value}${least}` : `${value / unit[1]}${unit[0]}`;
}
