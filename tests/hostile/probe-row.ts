/** One probe of tests/hostile/programs/: what it answers inside a sandbox, and outside of one. */

export interface ProbeRow {
  /** As the program registers it. */
  readonly name: string;
  /** The whole answer inside matches. */
  readonly inside: RegExp;
  /** The whole answer of the same program as root in scratch namespaces of the host matches. */
  readonly outside: RegExp;
  /** For what this host may not have at all: then both answers may be the same. */
  readonly mayBeAbsent?: boolean;
}

/** How a sandbox says no. */
export const no = /EPERM|EACCES|ENOSYS/;

/** The rows of probes that all answer the same. */
export function rowsOf(
  expected: { readonly inside: RegExp; readonly outside: RegExp; readonly mayBeAbsent?: boolean },
  names: readonly string[],
): ProbeRow[] {
  return names.map((name) => ({ name, ...expected }));
}

export function isWhole(pattern: RegExp, text: string): boolean {
  return new RegExp(`^(?:${pattern.source})$`, 's').test(text);
}
