/**
 * What one run may use. Every limit is always set: a caller asks, defaults fill the gaps, the operator's
 * ceilings cut. Enforced by the starter and its driver from outside the sandbox, never by code inside.
 */
import { z } from 'zod';
import { SlipwayError } from '../base/errors.ts';

const mib = 1024 * 1024;

const whole = (least: number, most: number) => z.number().int().min(least).max(most);

/** The shape of `limits` in an order; bytes, milliseconds and counts. */
export const limitsSchema = z.strictObject({
  /** Wall-clock time from the start of the program, in ms. */
  wallTimeMs: whole(10, 7 * 86_400_000),
  /** Memory of everything inside together, tmpfs included, in bytes; swap is 0. */
  memoryBytes: whole(4 * mib, 1024 ** 4),
  /** Processor time per second of wall time, in CPUs. */
  cpus: z.number().min(0.01).max(1024),
  /** Processes and threads at one moment. */
  pids: whole(1, 65_536),
  /** Size of /work, in bytes. */
  workBytes: whole(64 * 1024, 1024 ** 4),
  /** Files and directories in /work. */
  workInodes: whole(16, 100_000_000),
  /** Size of /tmp and of /dev/shm and of the home directory, each, in bytes. */
  tmpBytes: whole(64 * 1024, 1024 ** 4),
  /** Open files of one process. */
  openFiles: whole(16, 1_048_576),
  /** Written to stdout and stderr before the run is ended as `output-limit`, in bytes. */
  outputBytes: whole(0, 1024 ** 5),
  /** Kept of stdout and stderr (head and tail); what lies between is cut and marked, in bytes. */
  keptOutputBytes: whole(0, 1024 ** 3),
  /** Files collected from /work. */
  resultFiles: whole(0, 1_000_000),
  /** Size of the collected files together, in bytes. */
  resultBytes: whole(0, 1024 ** 4),
  /** Sent and received through the egress proxy together, in bytes; then its connections are closed. */
  egressBytes: whole(0, 1024 ** 5),
});

export type Limits = Readonly<z.infer<typeof limitsSchema>>;

export const requestedLimitsSchema = limitsSchema.partial();

export const defaultLimits: Limits = {
  wallTimeMs: 60_000,
  memoryBytes: 512 * mib,
  cpus: 1,
  pids: 256,
  workBytes: 128 * mib,
  workInodes: 16_384,
  tmpBytes: 64 * mib,
  openFiles: 1024,
  outputBytes: 256 * mib,
  keptOutputBytes: 8 * mib,
  resultFiles: 1000,
  resultBytes: 128 * mib,
  egressBytes: 256 * mib,
};

export const defaultCeilings: Limits = {
  wallTimeMs: 24 * 3_600_000,
  memoryBytes: 8 * 1024 * mib,
  cpus: 8,
  pids: 4096,
  workBytes: 16 * 1024 * mib,
  workInodes: 2_000_000,
  tmpBytes: 4 * 1024 * mib,
  openFiles: 65_536,
  outputBytes: 16 * 1024 * mib,
  keptOutputBytes: 64 * mib,
  resultFiles: 100_000,
  resultBytes: 16 * 1024 * mib,
  egressBytes: 64 * 1024 * mib,
};

export const limitNames = Object.keys(defaultLimits) as readonly (keyof Limits)[]; // the keys of a literal

/** Some of the limits; `undefined` is as good as absent. */
export type AskedLimits = { readonly [Name in keyof Limits]?: Limits[Name] | undefined };

/**
 * Fills what was not asked for; what was asked is kept as it is.
 *
 * @throws SlipwayError `bad-limit` for one that no site could allow
 */
export function fillLimits(asked: AskedLimits, defaults: Limits = defaultLimits): Limits {
  const given = Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined));
  const limits = limitsSchema.safeParse({ ...defaults, ...given });
  if (limits.success) return limits.data;
  const fault = z.prettifyError(limits.error).replaceAll('\n', '; ');
  throw new SlipwayError('invalid-input', 'bad-limit', `The limits cannot be used: ${fault}.`);
}

/**
 * Refuses limits over the operator's ceilings; nothing is cut silently.
 *
 * @throws SlipwayError `limit-over-ceiling`, naming the limit, what was asked and what is allowed
 */
export function assertWithinCeilings(limits: Limits, ceilings: Limits): void {
  for (const name of limitNames) {
    if (limits[name] <= ceilings[name]) continue;
    throw new SlipwayError(
      'forbidden',
      'limit-over-ceiling',
      `The limit ${name} is ${limits[name]}, but this site allows at most ${ceilings[name]}. Ask for less.`,
      { details: { limit: name, asked: limits[name], ceiling: ceilings[name] } },
    );
  }
}
