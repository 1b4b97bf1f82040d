/**
 * Process entry: signals → start → stop. `control-plane` is what the starter starts; all else is the CLI. What a
 * process does not need is not loaded: most commands are clients and should answer at once.
 */
import { messageOf } from './base/errors.ts';
import type { CliParts } from './cli/parts.ts';

const parts: CliParts = {
  openStarter: async (config) => (await import('./app.ts')).openEmbeddedStarter(config),
  startService: async (config) => (await import('./app.ts')).startService(config),
};

if (process.argv[2] === 'control-plane') await runControlPlane();
else process.exitCode = await runCommand();

async function runCommand(): Promise<number> {
  const [{ runCli }, { processIo }] = await Promise.all([import('./cli/main.ts'), import('./cli/io.ts')]);
  return runCli(process.argv.slice(2), processIo(), parts);
}

/** Serves until the starter says SIGTERM or is gone. */
async function runControlPlane(): Promise<void> {
  process.on('SIGINT', () => undefined); // a terminal sends it to both; the starter decides
  const stopped = new Promise<void>((resolve) => process.once('SIGTERM', () => resolve()));
  const [{ startControlPlane }, { parseConfig }, { readEnvironment }] = await Promise.all([
    import('./control-plane.ts'),
    import('./config/config.ts'),
    import('./config/env.ts'),
  ]);
  const controlPlane = await startControlPlane(parseConfig(readEnvironment())).catch(giveUp);
  await Promise.race([stopped, controlPlane.starterGone]);
  await controlPlane.stop();
}

/** One line for whoever reads the log; the starter tries again. */
function giveUp(error: unknown): never {
  process.stderr.write(`slipway: the control plane cannot start: ${messageOf(error)}\n`);
  process.exit(1);
}
