/** The mount table of this process, from /proc/self/mountinfo (proc_pid_mountinfo(5)). */
import { readFileSync } from 'node:fs';

export interface Mount {
  /** Where it is mounted; octal escapes undone. */
  readonly target: string;
  /** Per-mount options: `ro`, `nosuid`, `noatime`, … */
  readonly options: readonly string[];
  readonly type: string;
  readonly source: string;
  /** Options of the file system itself; for cgroup v1 the controllers are among them. */
  readonly superOptions: readonly string[];
}

/** Mounts in the order of the table: a later one may lie on top of an earlier one. */
export function readMounts(): Mount[] {
  return parseMounts(readFileSync('/proc/self/mountinfo', 'latin1'));
}

/** Parses the table; lines of an unknown form are left out. */
export function parseMounts(text: string): Mount[] {
  return text.split('\n').flatMap((line) => parseMount(line));
}

function parseMount(line: string): Mount[] {
  const [before, after] = line.split(' - ');
  if (before === undefined || after === undefined) return [];
  const [, , , , target, options] = before.split(' ');
  const [type, source, superOptions] = after.split(' ');
  if (target === undefined || options === undefined || type === undefined) return [];
  return [
    {
      target: unescapeOctal(target),
      options: options.split(','),
      type,
      source: unescapeOctal(source ?? ''),
      superOptions: (superOptions ?? '').split(','),
    },
  ];
}

/** The kernel writes space, tab, line end, `#` and backslash as `\040` and so on. */
function unescapeOctal(text: string): string {
  const bytes = text.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
  return Buffer.from(bytes, 'latin1').toString();
}

/** The mount on which a path lies: the last of those with the longest target above it. */
export function mountOf(path: string, mounts: readonly Mount[]): Mount | undefined {
  let best: Mount | undefined;
  for (const mount of mounts) {
    if (!isWithin(path, mount.target)) continue;
    if (best === undefined || mount.target.length >= best.target.length) best = mount;
  }
  return best;
}

/** Whether `path` is `directory` or below it. */
export function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory.endsWith('/') ? directory : `${directory}/`);
}
