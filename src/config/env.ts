/**
 * Step one of the configuration: the environment as it is. This is the only file that touches
 * `process.env`; everything else receives what it needs. Next: settings.ts (what may be set), config.ts
 * (raw → validated), secrets.ts (tokens).
 */

/** Environment variables, or something like them in a test. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** A copy of this process's environment. */
export function readEnvironment(): Environment {
  return { ...process.env };
}
