/**
 * Known holes of runc, and what they mean here. A hole counts as closed by a version that has the fix, by a
 * distribution's patch, or because the driver never does what it needs. Source: runc's CHANGELOG, Debian's
 * changelog.
 */

interface KnownHole {
  readonly id: string;
  /** The first fixed version of each series. */
  readonly fixedIn: readonly string[];
  /** Packages of Debian that have the fix, by a pattern on the version. */
  readonly patchedIn?: RegExp;
  /** Why it cannot be used in a sandbox of this driver. */
  readonly harmless?: string;
}

const holes: readonly KnownHole[] = [
  { id: 'CVE-2024-21626', fixedIn: ['1.1.12'], patchedIn: /^1\.1\.5\+ds1-1\+deb12u\d/ },
  {
    id: 'CVE-2025-31133',
    fixedIn: ['1.2.8', '1.3.3', '1.4.0'],
    harmless:
      'needs a /dev/null that the image or the program replaced; /dev here is a read-only mount of ours',
  },
  {
    id: 'CVE-2025-52565',
    fixedIn: ['1.2.8', '1.3.3', '1.4.0'],
    harmless: 'needs a terminal; sandboxes have none',
  },
  {
    id: 'CVE-2025-52881',
    fixedIn: ['1.2.8', '1.3.3', '1.4.0'],
    harmless: 'needs a mount that a running container shares; sandboxes share none that they can write',
  },
  {
    id: 'CVE-2026-41579',
    fixedIn: ['1.3.6', '1.4.3', '1.5.0'],
    harmless: 'needs an image whose /dev is a link; such images are refused',
  },
];

export interface PatchState {
  readonly patched: boolean;
  readonly detail: string;
}

/** @param version as `runc --version` prints it, or the version of Debian's package where that is known */
export function patchState(runtime: string, version: string): PatchState {
  if (runtime !== 'runc') {
    return {
      patched: true,
      detail: `Slipway has no list of holes for ${runtime}; keep ${version} up to date`,
    };
  }
  const open = holes.filter((hole) => !isFixed(hole, version));
  const dangerous = open.filter((hole) => hole.harmless === undefined);
  if (dangerous.length > 0) {
    const ids = dangerous.map((hole) => hole.id).join(', ');
    return { patched: false, detail: `runc ${version} has ${ids}; install a newer runc` };
  }
  if (open.length === 0) return { patched: true, detail: `runc ${version} has the fixes of all known holes` };
  const reasons = open.map((hole) => `${hole.id} ${hole.harmless}`).join('; ');
  return { patched: true, detail: `runc ${version} lacks fixes that do not matter here: ${reasons}` };
}

function isFixed(hole: KnownHole, version: string): boolean {
  if (hole.patchedIn?.test(version)) return true;
  const [major, minor, patch] = numbers(version);
  const series = hole.fixedIn.map(numbers);
  const same = series.find(([a, b]) => a === major && b === minor);
  if (same !== undefined) return patch >= same[2] && !isCandidate(version);
  return series.every(([a, b]) => major > a || (major === a && minor > b));
}

/** `1.4.0-rc.3` comes before 1.4.0; it is taken as not fixed. */
function isCandidate(version: string): boolean {
  return /^\d+\.\d+\.\d+-rc/.test(version);
}

function numbers(version: string): [number, number, number] {
  const match = /^(\d+)\.(\d+)\.(\d+)/.exec(version);
  return [Number(match?.[1] ?? 0), Number(match?.[2] ?? 0), Number(match?.[3] ?? 0)];
}
