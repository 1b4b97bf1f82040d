/** `slipway image …` (image.ts) as a command of this program: with its streams, settings and Ctrl-C. */
import type { Command } from 'commander';
import { type Digest, parseDigest } from '../base/digest.ts';
import { isSlipwayError } from '../base/errors.ts';
import { imagesDir } from '../config/images-dir.ts';
import { createImageStore } from '../images/image-store.ts';
import type { RunState } from '../model/run.ts';
import type { CliContext } from './context.ts';
import { serviceUrl } from './context.ts';
import { createImageCommand } from './image.ts';

const serviceTimeoutMs = 10_000;
/** In the order in which runs pass them, so that none slips by between two questions. */
const unfinished: readonly RunState[] = ['submitted', 'queued', 'preparing', 'running'];

export function addImageCommand(program: Command, context: CliContext): void {
  const { io } = context;
  const getStore = () => createImageStore({ root: imagesDir(context.config) });
  const interrupted = new AbortController();
  const command = createImageCommand(getStore, {
    hostEnv: io.env,
    signal: interrupted.signal,
    out: io.stdout,
    err: io.stderr,
    getPolicy: () => ({ registries: context.config.registries, keysDir: context.config.imageKeysDir }),
    getNeeded: () => imagesOfRuns(context),
  });
  inheritSettings(command, program);
  let listening: Disposable | undefined;
  command.hook('preAction', () => {
    listening = io.onStop(() => interrupted.abort());
  });
  command.hook('postAction', () => listening?.[Symbol.dispose]());
  program.addCommand(command);
}

/** The images that runs of this machine's service still need; none when it does not run. */
async function imagesOfRuns(context: CliContext): Promise<ReadonlySet<Digest>> {
  const signal = AbortSignal.timeout(serviceTimeoutMs);
  const found = new Set<Digest>();
  try {
    const client = await context.client(serviceUrl(context.config));
    for (const state of unfinished) {
      for (let before: string | undefined; ; ) {
        const page = await client.listRuns(
          { state, limit: 100, ...(before === undefined ? {} : { before }) },
          signal,
        );
        for (const { image } of page.runs) found.add(parseDigest(image.digest));
        if (page.next === null) break;
        before = page.next;
      }
    }
    return found;
  } catch (error) {
    if (isSlipwayError(error, 'server-unreachable')) return found;
    throw error;
  }
}

function inheritSettings(command: Command, parent: Command): void {
  command.copyInheritedSettings(parent);
  for (const child of command.commands) inheritSettings(child, command);
}
