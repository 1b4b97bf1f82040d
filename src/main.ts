/** Process entry: signals → start → stop. `control-plane` is what the starter starts; all else is the CLI. */
import { pino } from 'pino';
import { startControlPlane } from './app.ts';
import { runCli } from './cli/main.ts';
import { parseConfig } from './config/config.ts';
import { readEnvironment } from './config/env.ts';

if (process.argv[2] === 'control-plane') await runControlPlane();
else process.exitCode = await runCli(process.argv.slice(2));

/** Serves until the starter says SIGTERM or is gone. */
async function runControlPlane(): Promise<void> {
  process.on('SIGINT', () => undefined); // a terminal sends it to both; the starter decides
  const stopped = new Promise<void>((resolve) => process.once('SIGTERM', () => resolve()));
  const config = parseConfig(readEnvironment());
  const logger = pino({ level: config.logLevel }, pino.destination({ dest: 2, sync: true }));
  const controlPlane = await startControlPlane(config, logger);
  const why = await Promise.race([
    stopped.then(() => 'stopped'),
    controlPlane.starterGone.then(() => 'starter gone'),
  ]);
  logger.info({ why }, 'the control plane stops');
  await controlPlane.stop();
}
