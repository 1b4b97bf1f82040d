/** Process entry: signals → start → stop. `control-plane` is what the starter starts; all else is the CLI. */
import { processIo } from './cli/io.ts';
import { runCli } from './cli/main.ts';
import type { CliParts } from './cli/parts.ts';
import { parseConfig } from './config/config.ts';
import { readEnvironment } from './config/env.ts';

/** Loaded when a command needs them: most commands are clients and should answer at once. */
const parts: CliParts = {
  openStarter: async (config) => (await import('./app.ts')).openEmbeddedStarter(config),
  startService: async (config) => (await import('./app.ts')).startService(config),
};

if (process.argv[2] === 'control-plane') await runControlPlane();
else process.exitCode = await runCli(process.argv.slice(2), processIo(), parts);

/** Serves until the starter says SIGTERM or is gone. */
async function runControlPlane(): Promise<void> {
  process.on('SIGINT', () => undefined); // a terminal sends it to both; the starter decides
  const stopped = new Promise<void>((resolve) => process.once('SIGTERM', () => resolve()));
  const { startControlPlane } = await import('./app.ts');
  const controlPlane = await startControlPlane(parseConfig(readEnvironment()));
  await Promise.race([stopped, controlPlane.starterGone]);
  await controlPlane.stop();
}
