/** The baseline: `runc run` with the configuration of `runc spec`: no user namespace, no seccomp, no limits. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { z } from 'zod';
import { randomText } from '../src/base/ids.ts';

export interface PlainRunc extends AsyncDisposable {
  /** Runs a program to its end. @returns the time it took, in ms */
  run(argv: readonly string[]): Promise<number>;
}

const specSchema = z.looseObject({ process: z.looseObject({}), root: z.looseObject({}) });

export async function openPlainRunc(rootfs: string): Promise<PlainRunc> {
  const directory = await mkdtemp(path.join(tmpdir(), 'slipway-bench-'));
  await call(['spec', '--bundle', directory]);
  const file = path.join(directory, 'config.json');
  const spec = specSchema.parse(JSON.parse(await readFile(file, 'utf8')));
  return {
    async run(argv) {
      const changed = {
        ...spec,
        process: { ...spec.process, terminal: false, args: argv },
        root: { path: rootfs, readonly: true },
      };
      await writeFile(file, JSON.stringify(changed));
      const started = performance.now();
      await call([
        '--root',
        path.join(directory, 'state'),
        'run',
        '--bundle',
        directory,
        `bench-${randomText(8)}`,
      ]);
      return performance.now() - started;
    },
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  };
}

async function call(args: readonly string[]): Promise<void> {
  const child = spawn('runc', args, { stdio: ['ignore', 'ignore', 'inherit'] });
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`runc ${args[0]} ended with ${code}`);
}
