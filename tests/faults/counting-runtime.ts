/**
 * The OCI runtime, with every call written down: a witness outside the service of what was really launched, and
 * how often.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface CountingRuntime {
  /** For SLIPWAY_RUNTIME. */
  readonly path: string;
  /** How often a sandbox of the run was launched. */
  launchesOf(run: string): number;
  readonly launches: number;
}

/** @param directory where its program and its list go; not one that the service removes */
export function createCountingRuntime(directory: string): CountingRuntime {
  const runtime = execFileSync('sh', ['-c', 'command -v runc'], { encoding: 'utf8' }).trim();
  const list = join(directory, 'launches');
  const path = join(directory, 'runc'); // its name says how it is called
  writeFileSync(path, `#!/bin/sh\nprintf '%s\\n' "$*" >> ${list}\nexec ${runtime} "$@"\n`);
  chmodSync(path, 0o755);
  const readRuns = () => {
    const lines = existsSync(list) ? readFileSync(list, 'utf8').split('\n') : [];
    return lines.flatMap((line) => /^.* run .*-([a-z0-9]{16})[a-z0-9]{4}$/.exec(line)?.[1] ?? []);
  };
  return {
    path,
    launchesOf: (run) => readRuns().filter((end) => run.endsWith(end)).length,
    get launches() {
      return readRuns().length;
    },
  };
}
