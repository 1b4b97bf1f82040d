/**
 * The composition root: the only file that knows concrete classes. It makes three things: the starter of this
 * process (for `slipway run` as root, and for the service), the service (a starter that starts a control plane),
 * and the control plane itself, which runs unprivileged in a process of its own.
 */
import { chmod, chown, mkdir } from 'node:fs/promises';
import { Socket } from 'node:net';
import path from 'node:path';
import { type Logger, pino } from 'pino';
import { systemClock } from './base/clock.ts';
import { randomText } from './base/ids.ts';
import type { Config } from './config/config.ts';
import { readEnvironment } from './config/env.ts';
import { adminTokenPath } from './config/secrets.ts';
import { ensureAdminToken } from './http/admin-token.ts';
import { createHttpServer } from './http/server.ts';
import { createImageStore, type ImageStore } from './images/image-store.ts';
import { createRunEngine } from './runs/run-engine.ts';
import { createOciDriver } from './runtime/oci/driver.ts';
import { isStarterAlive } from './runtime/oci/host/starters.ts';
import { starterDescriptor } from './starter/control-plane-process.ts';
import { readInstallId } from './starter/install-id.ts';
import { createLocalStarter } from './starter/local-starter.ts';
import { assertReadableBy, findSystemUser } from './starter/program-user.ts';
import { keepSweeping, type ReaperOptions, sweep } from './starter/reaper.ts';
import { createRemoteStarter } from './starter/remote/remote-starter.ts';
import { lockService } from './starter/service-lock.ts';
import type { Starter } from './starter/starter.ts';
import { superviseControlPlane } from './starter/supervise.ts';
import { createLocalBlobs } from './store/local-blobs.ts';
import { createSqliteStore } from './store/sqlite/sqlite-store.ts';
import { version } from './version.ts';

const serviceUser = 'slipway';
const sweepIntervalMs = 60_000;
const drainMs = 20_000;
const maxBodyBytes = 32 * 1024 * 1024;

/** A starter in this process, with the images that it boots from. */
export interface EmbeddedStarter extends AsyncDisposable {
  readonly starter: Starter;
  readonly images: ImageStore;
  /** Resolves when the leftovers of dead starters have been removed, with how many there were. */
  readonly swept: Promise<number>;
  /** What the reaper needs, for those who sweep again and again. */
  readonly reaper: ReaperOptions;
}

/** Needs root, or says in `probe` what is missing. The caller disposes it. */
export async function openEmbeddedStarter(config: Config): Promise<EmbeddedStarter> {
  const install = await readInstallId(config.stateDir);
  const self = randomText(8);
  const runtimeDir = path.join(config.runtimeDir, install);
  const images = createImageStore({ root: config.imagesDir ?? path.join(config.stateDir, 'images') });
  const driver = await createOciDriver({
    install,
    starter: self,
    runtimeDir,
    stateDir: path.join(config.stateDir, 'sandboxes'),
    rootfs: (image) => images.rootfs(image),
    runtime: { name: path.basename(config.runtime), path: config.runtime },
    idBase: config.idBase,
    idCount: config.idCount / 65_536,
    switchedOff: new Set(config.without),
    workLoopThresholdBytes: config.workLoopThresholdBytes,
  });
  const starter = createLocalStarter({ driver, images, ceilings: config.ceilings });
  const reaper: ReaperOptions = {
    driver,
    isLive: async (ref) =>
      ref.starter === self ? starter.tends(ref) : await isStarterAlive(runtimeDir, ref.starter),
  };
  const swept = sweep(reaper, new AbortController().signal);
  swept.catch(() => undefined); // told to those who wait for it; sandboxes can be made meanwhile
  return {
    starter,
    images,
    reaper,
    swept,
    async [Symbol.asyncDispose]() {
      await swept.catch(() => undefined);
      await starter[Symbol.asyncDispose]();
    },
  };
}

export interface Service {
  /** Resolves with the URL when the control plane serves for the first time. */
  readonly url: Promise<string>;
  /** Drains the control plane, then ends every sandbox. */
  stop(): Promise<void>;
}

/**
 * The whole service on one machine: the privileged starter here, the control plane as its unprivileged child.
 *
 * @throws SlipwayError `state-dir-in-use`, `control-plane-failed`, or what keeps the driver from its directories
 */
export async function startService(config: Config): Promise<Service> {
  const logger = createLogger(config);
  const user = await findSystemUser(serviceUser);
  const main = path.join(import.meta.dirname, 'main.ts');
  await assertReadableBy(user, main);
  await prepareStateDir(config, user);
  await using resources = new AsyncDisposableStack();
  resources.use(await lockService(config.stateDir));
  const embedded = resources.use(await openEmbeddedStarter(config));
  const stopping = new AbortController();
  const removed = await embedded.swept;
  if (removed > 0) logger.warn({ removed }, 'removed what an earlier starter left behind');
  const sweeping = keepSweeping(
    {
      ...embedded.reaper,
      intervalMs: sweepIntervalMs,
      onRemoved: (ref) => logger.warn({ sandbox: ref.name }, 'removed a leftover sandbox'),
      onFailed: (ref, reason) =>
        logger.error({ sandbox: ref.name, reason }, 'cannot remove a leftover sandbox'),
      onError: (reason) => logger.error({ reason }, 'the reaper failed'),
    },
    stopping.signal,
  );
  resources.defer(() => {
    stopping.abort();
    return sweeping;
  });
  const listening = Promise.withResolvers<string>();
  const supervisor = await superviseControlPlane({
    starter: embedded.starter,
    command: {
      program: process.execPath,
      args: [...process.execArgv.filter((arg) => !arg.startsWith('--import')), main, 'control-plane'],
      env: { ...controlPlaneEnvironment(), SLIPWAY_LOG_LEVEL: config.logLevel },
      uid: user.uid,
      gid: user.gid,
    },
    onAnnounced: (url) => listening.resolve(url),
    onEnded: (how, delayMs) => logger.error({ how, delayMs }, 'the control plane ended; it is started again'),
  });
  const running = resources.move();
  return {
    url: listening.promise,
    async stop() {
      await supervisor.stop(drainMs + 5000);
      await running.disposeAsync();
    },
  };
}

/** What the control plane configures itself by; nothing else of the starter's environment. */
function controlPlaneEnvironment(): Record<string, string> {
  const passed = Object.entries(readEnvironment()).filter(
    ([name]) =>
      (name.startsWith('SLIPWAY_') && !name.startsWith('SLIPWAY_TOKEN')) || ['PATH', 'TZ'].includes(name),
  );
  return Object.fromEntries(passed.map(([name, value]) => [name, value ?? '']));
}

/** JSON lines on stderr; synchronous, so that the last words of a process that dies are there. */
function createLogger({ logLevel }: Pick<Config, 'logLevel'>): Logger {
  return pino({ level: logLevel }, pino.destination({ dest: 2, sync: true }));
}

/** The control plane owns `control/` and nothing else. */
async function prepareStateDir(config: Config, user: { uid: number; gid: number }): Promise<void> {
  const control = path.join(config.stateDir, 'control');
  await mkdir(control, { recursive: true, mode: 0o700 });
  await chmod(config.stateDir, 0o711);
  await chown(control, user.uid, user.gid);
  await chmod(control, 0o700);
}

export interface ControlPlane {
  /** Resolves when the connection to the starter has ended: nothing can be done without it. */
  readonly starterGone: Promise<void>;
  stop(): Promise<void>;
}

/** The control plane of this process: store, engine and HTTP API, over the starter on its descriptor. */
export async function startControlPlane(config: Config): Promise<ControlPlane> {
  const logger = createLogger(config);
  const clock = systemClock;
  const control = path.join(config.stateDir, 'control');
  const starter = createRemoteStarter(new Socket({ fd: starterDescriptor }));
  const store = await createSqliteStore({ path: path.join(control, 'slipway.db'), clock });
  const blobs = await createLocalBlobs({ root: path.join(control, 'blobs') });
  await ensureAdminToken(store, adminTokenPath(config), clock);
  const { concurrency, defaultLimits, ceilings, listen } = config;
  const engineConfig = { concurrency, journalDir: path.join(control, 'journal'), exclusive: true };
  const runs = createRunEngine({ store, blobs, starter, clock, logger, config: engineConfig });
  await runs.start();
  const settings = {
    version,
    defaultLimits,
    ceilings,
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
