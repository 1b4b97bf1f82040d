/** `slipway up`: the service in the foreground, until it is asked to stop. */
import type { Command } from 'commander';
import type { Config } from '../config/config.ts';
import { adminTokenPath } from '../config/secrets.ts';
import type { CliContext, GlobalOptions } from './context.ts';
import type { RunningService } from './parts.ts';

export function addUpCommand(program: Command, context: CliContext): void {
  program
    .command('up')
    .description('Start the service (starter and control plane) in the foreground; Ctrl-C stops it.')
    .addHelpText('after', '\nExample:\n  sudo SLIPWAY_LISTEN=127.0.0.1:8080 slipway up')
    .action(async (_options: object, command: Command) => {
      context.requireRoot('The service', 'up');
      await serve(context, async (service) => announce(service, context, command.optsWithGlobals()));
    });
}

/** Starts the service, does `work` once it answers, and serves until a stop signal; `work` may say "no further". */
export async function serve(
  context: CliContext,
  work: (service: RunningService) => Promise<'serve' | 'stop'>,
  config: Config = context.config,
): Promise<void> {
  const asked = Promise.withResolvers<'stop'>();
  using _listening = context.io.onStop(() => asked.resolve('stop'));
  const service = await context.parts.startService(config);
  try {
    const next = await Promise.race([work(service), asked.promise]);
    if (next === 'serve') await asked.promise;
  } finally {
    await service.stop();
  }
}

async function announce(
  service: RunningService,
  context: CliContext,
  { json }: GlobalOptions,
): Promise<'serve'> {
  const url = await service.url;
  const token = adminTokenPath(context.config);
  if (json) await context.printJson({ url, tokenFile: token });
  else await context.print(`Slipway listens on ${url}\nThe admin token is in ${token}\n`);
  return 'serve';
}
