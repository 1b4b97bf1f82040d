/** Process entry: signals → start → stop. `control-plane` is what the starter starts; all else is the CLI. */
import { runCli } from './cli/main.ts';
import { parseConfig } from './config/config.ts';
import { readEnvironment } from './config/env.ts';

if (process.argv[2] === 'control-plane') await runControlPlane();
else process.exitCode = await runCli(process.argv.slice(2));

/** Serves until the starter says SIGTERM or is gone. */
async function runControlPlane(): Promise<void> {
  process.on('SIGINT', () => undefined); // a terminal sends it to both; the starter decides
  const stopped = new Promise<void>((resolve) => process.once('SIGTERM', () => resolve()));
  const { createLogger, startControlPlane } = await import('./app.ts');
  const config = parseConfig(readEnvironment());
  const controlPlane = await startControlPlane(config, createLogger(config));
  await Promise.race([stopped, controlPlane.starterGone]);
  await controlPlane.stop();
}
