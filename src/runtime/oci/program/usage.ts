/**
 * What a sandbox used, read from its cgroups after everything inside is dead and before they are removed. A
 * file that is not there or cannot be understood gives null, never 0. What the runtime itself does inside the
 * cgroup before the program starts (about 10 ms of CPU) is part of the figures.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import type { Usage } from '../../../model/usage.ts';
import type { CgroupLayout } from '../host/cgroups.ts';

/** Everything but the wall clock. */
export type CgroupFigures = Omit<Usage, 'wallMs'>;

const nsPerMs = 1e6;
const usPerMs = 1000;
/** USER_HZ: fixed in the kernel's interface on all architectures that Node runs on. */
const msPerTick = 10;

/**
 * @param cgroupPath the cgroup of the sandbox, or one around it that only its runtime's lies in
 * @param isAround whether it is one around it; v1 does not count kills there
 */
export function readUsage(layout: CgroupLayout, cgroupPath: string, isAround = false): CgroupFigures {
  const memory = readerOf(layout, cgroupPath, 'memory');
  return {
    ...memoryFigures(memory),
    ...(isAround && memory.version === 1 ? { oomKills: null } : {}),
    ...cpuFigures(readerOf(layout, cgroupPath, 'cpuacct', 'cpu')),
    ...blockFigures(readerOf(layout, cgroupPath, 'blkio', 'io')),
    pidsPeak: number(readerOf(layout, cgroupPath, 'pids').read('pids.peak')),
  };
}

/** The files of one controller, and in which version they are written. */
export interface Figures {
  readonly version: 1 | 2;
  /** The text of a file, or undefined where there is none. */
  read(file: string): string | undefined;
}

interface Controller extends Figures {
  write(file: string, text: string): void;
}

function readerOf(layout: CgroupLayout, cgroupPath: string, v1Name: string, v2Name = v1Name): Controller {
  const v1Root = layout.v1.get(v1Name);
  const v2Root = layout.v2?.controllers.has(v2Name) ? layout.v2.root : undefined;
  // cpu.stat exists on v2 without the controller.
  const root = v1Root ?? v2Root ?? (v2Name === 'cpu' ? layout.v2?.root : undefined);
  return {
    version: v1Root === undefined ? 2 : 1,
    read: (file) => (root === undefined ? undefined : readText(`${root}${cgroupPath}/${file}`)),
    write: (file, text) => {
      if (root !== undefined) writeFileSync(`${root}${cgroupPath}/${file}`, text);
    },
  };
}

export function memoryFigures(figures: Figures): Pick<CgroupFigures, 'memoryPeakBytes' | 'oomKills'> {
  const [peak, events] =
    figures.version === 1
      ? ['memory.max_usage_in_bytes', 'memory.oom_control']
      : ['memory.peak', 'memory.events'];
  return {
    memoryPeakBytes: number(figures.read(peak)),
    oomKills: field(figures.read(events), 'oom_kill'),
  };
}

export function cpuFigures(figures: Figures): Pick<CgroupFigures, 'cpuMs' | 'cpuUserMs' | 'cpuSystemMs'> {
  if (figures.version === 1) {
    const stat = figures.read('cpuacct.stat');
    return {
      cpuMs: scaled(number(figures.read('cpuacct.usage')), 1 / nsPerMs),
      cpuUserMs: scaled(field(stat, 'user'), msPerTick),
      cpuSystemMs: scaled(field(stat, 'system'), msPerTick),
    };
  }
  const stat = figures.read('cpu.stat');
  return {
    cpuMs: scaled(field(stat, 'usage_usec'), 1 / usPerMs),
    cpuUserMs: scaled(field(stat, 'user_usec'), 1 / usPerMs),
    cpuSystemMs: scaled(field(stat, 'system_usec'), 1 / usPerMs),
  };
}

export function blockFigures(figures: Figures): Pick<CgroupFigures, 'readBytes' | 'writtenBytes'> {
  if (figures.version === 1) {
    const text =
      figures.read('blkio.throttle.io_service_bytes_recursive') ??
      figures.read('blkio.throttle.io_service_bytes');
    return { readBytes: sumOf(text, / Read (\d+)$/gm), writtenBytes: sumOf(text, / Write (\d+)$/gm) };
  }
  const text = figures.read('io.stat');
  return { readBytes: sumOf(text, /\brbytes=(\d+)/g), writtenBytes: sumOf(text, /\bwbytes=(\d+)/g) };
}

/** What was used between two readings; peaks and kills are those of the later one. */
export function usedSince(now: CgroupFigures, before: CgroupFigures): CgroupFigures {
  const used = (name: 'cpuMs' | 'cpuUserMs' | 'cpuSystemMs' | 'readBytes' | 'writtenBytes') => {
    const [later, earlier] = [now[name], before[name]];
    return later === null || earlier === null
      ? null
      : Math.max(0, Math.round((later - earlier) * 1000) / 1000);
  };
  return {
    ...now,
    cpuMs: used('cpuMs'),
    cpuUserMs: used('cpuUserMs'),
    cpuSystemMs: used('cpuSystemMs'),
    readBytes: used('readBytes'),
    writtenBytes: used('writtenBytes'),
  };
}

/**
 * Lets the memory peak begin anew where the kernel can: on v1. On v2 a sandbox's peak is that of its whole life.
 *
 * @returns the memory in use now, in bytes; null where it is not measured
 */
export function restartMemoryPeak(layout: CgroupLayout, cgroupPath: string): number | null {
  const figures = readerOf(layout, cgroupPath, 'memory');
  if (figures.version === 2) return number(figures.read('memory.current'));
  figures.write('memory.max_usage_in_bytes', '0');
  return number(figures.read('memory.usage_in_bytes'));
}

/**
 * The names of the figures that this host has files for; the wall clock is always measured.
 *
 * @param cgroupPath a cgroup that exists, such as the install's
 */
export function measuredFigures(layout: CgroupLayout, cgroupPath: string): string[] {
  const figures = { wallMs: 0, ...readUsage(layout, cgroupPath) };
  return Object.entries(figures).flatMap(([name, value]) => (value === null ? [] : [name]));
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return undefined;
  }
}

function number(text: string | undefined): number | null {
  return text !== undefined && /^\d+\s*$/.test(text) ? Number(text) : null;
}

/** The value of a line `name value`. */
function field(text: string | undefined, name: string): number | null {
  const match = new RegExp(`^${name} (\\d+)$`, 'm').exec(text ?? '');
  return match === null ? null : Number(match[1]);
}

/** A device appears only once it was used, so a file without lines means 0. */
function sumOf(text: string | undefined, pattern: RegExp): number | null {
  if (text === undefined) return null;
  let sum = 0;
  for (const match of text.matchAll(pattern)) sum += Number(match[1]);
  return sum;
}

function scaled(value: number | null, factor: number): number | null {
  return value === null ? null : Math.round(value * factor * 1000) / 1000;
}
