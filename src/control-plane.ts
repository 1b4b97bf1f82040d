/**
 * The composition root of the control plane: the process that faces the network, unprivileged, over the starter
 * on its descriptor. Loaded by main.ts in that process alone; the other process's root is app.ts.
 */
import { Socket } from 'node:net';
import path from 'node:path';
import { systemClock } from './base/clock.ts';
import { createLogger } from './base/logger.ts';
import type { Config } from './config/config.ts';
import { adminTokenPath } from './config/secrets.ts';
import { ensureAdminToken } from './http/admin-token.ts';
import { createHttpServer } from './http/server.ts';
import { createRunEngine } from './runs/run-engine.ts';
import { starterDescriptor } from './starter/control-plane-process.ts';
import { createRemoteStarter } from './starter/remote/remote-starter.ts';
import { createLocalBlobs } from './store/local-blobs.ts';
import { createSqliteStore } from './store/sqlite/sqlite-store.ts';
import { version } from './version.ts';

const drainMs = 20_000;
const maxBodyBytes = 32 * 1024 * 1024;

export interface ControlPlane {
  /** Resolves when the connection to the starter has ended: nothing can be done without it. */
  readonly starterGone: Promise<void>;
  stop(): Promise<void>;
}

/** The control plane of this process: store, engine and HTTP API, over the starter on its descriptor. */
export async function startControlPlane(config: Config): Promise<ControlPlane> {
  const logger = createLogger(config.logLevel);
  const clock = systemClock;
  const control = path.join(config.stateDir, 'control');
  const starter = createRemoteStarter(new Socket({ fd: starterDescriptor }));
  const store = await createSqliteStore({ path: path.join(control, 'slipway.db'), clock });
  const blobs = await createLocalBlobs({ root: path.join(control, 'blobs') });
  await ensureAdminToken(store, adminTokenPath(config), clock);
  const { concurrency, defaultLimits, ceilings, egress, listen } = config;
  const engineConfig = { concurrency, journalDir: path.join(control, 'journal'), exclusive: true };
  const runs = createRunEngine({ store, blobs, starter, clock, logger, config: engineConfig });
  await runs.start();
  const settings = {
    version,
    defaultLimits,
    ceilings,
    egress,
    loopbackOnly: listen.kind === 'tcp',
    maxBodyBytes,
    maxBlobBytes: ceilings.workBytes,
  };
  const server = createHttpServer({ runs, blobs, store, starter, clock, settings }, logger);
  await starter.announce(await server.listen(listen));
  return {
    starterGone: starter.closed,
    async stop() {
      await server.close();
      await runs.stop(drainMs);
      await store[Symbol.asyncDispose]();
      await starter[Symbol.asyncDispose]();
    },
  };
}
