/** Sizes and durations as people write them (`512mb`, `30s`), parsed into bytes and milliseconds. */
import { SlipwayError } from './errors.ts';

const sizeUnits: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1000,
  mb: 1000 ** 2,
  gb: 1000 ** 3,
  k: 1024,
  m: 1024 ** 2,
  g: 1024 ** 3,
  kib: 1024,
  mib: 1024 ** 2,
  gib: 1024 ** 3,
};

const durationUnits: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** Bytes from `512mb`, `1.5GiB`, `4096`; a number without a unit is bytes. */
export function parseSize(text: string): number {
  return parseQuantity(text, { units: sizeUnits, bare: 'b', what: 'size', example: '512mb or 2gib' });
}

/** Milliseconds from `30s`, `1.5h`, `250ms`; a number without a unit is seconds. */
export function parseDuration(text: string): number {
  return parseQuantity(text, { units: durationUnits, bare: 's', what: 'duration', example: '30s or 5m' });
}

interface QuantityRule {
  readonly units: Readonly<Record<string, number>>;
  readonly bare: string;
  readonly what: string;
  readonly example: string;
}

function parseQuantity(text: string, rule: QuantityRule): number {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(text);
  const unit = rule.units[match?.[2]?.toLowerCase() || rule.bare];
  const value = match && unit !== undefined ? Math.round(Number(match[1]) * unit) : Number.NaN;
  if (Number.isSafeInteger(value)) return value;
  throw new SlipwayError(
    'invalid-input',
    `bad-${rule.what}`,
    `"${text.slice(0, 40)}" is not a ${rule.what}; write for example ${rule.example}.`,
  );
}

const sizeNames = ['kB', 'MB', 'GB', 'TB', 'PB'] as const;

/** `1.5 MB`, `312 kB`, `17 B`: decimal units and three digits, for people. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit: string = 'B';
  for (const name of sizeNames) {
    if (round(value) < 1000) break;
    value /= 1000;
    unit = name;
  }
  return `${round(value)} ${unit}`;
}

/** `340 ms`, `1.25 s`, `3 min 20 s`, `2 h 5 min`: for people. */
export function formatDuration(ms: number): string {
  if (Math.round(ms) < 1000) return `${Math.round(ms)} ms`;
  const seconds = round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const whole = Math.round(ms / 1000);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  const minutes = Math.round(ms / 60_000);
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Three digits; more only before the decimal point. */
function round(value: number): number {
  return value < 1000 ? Number(value.toPrecision(3)) : Math.round(value);
}
