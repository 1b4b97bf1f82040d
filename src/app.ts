/**
 * The composition root of the process with privileges: the starter of this process (for `slipway run` as root, and
 * for the service), and the service (a starter that starts a control plane). It loads nothing of HTTP and store:
 * the control plane runs unprivileged in a process of its own, whose root is control-plane.ts.
 */
import { chmod, chown, mkdir } from 'node:fs/promises';
import path from 'node:path';
import { randomText } from './base/ids.ts';
import type { Config } from './config/config.ts';
import { readEnvironment } from './config/env.ts';
import { createImageStore, type ImageStore } from './images/image-store.ts';
import { createOciDriver } from './runtime/oci/driver.ts';
import { isStarterAlive } from './runtime/oci/host/starters.ts';
import { createSystemResolver } from './starter/egress/resolve.ts';
import type { EgressPolicy } from './starter/egress/run-egress.ts';
import { readInstallId } from './starter/install-id.ts';
import { createLocalStarter, type LocalStarterOptions } from './starter/local-starter.ts';
import { assertReadableBy, findSystemUser } from './starter/program-user.ts';
import { keepSweeping, type ReaperOptions, sweep } from './starter/reaper.ts';
import { lockService } from './starter/service-lock.ts';
import type { Starter } from './starter/starter.ts';
import { superviseControlPlane } from './starter/supervise.ts';

const serviceUser = 'slipway';
const sweepIntervalMs = 60_000;
/** How long the control plane takes to stop at most (20 s), and a little. */
const stopMs = 25_000;

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
export async function openEmbeddedStarter(
  config: Config,
  more: Pick<LocalStarterOptions, 'warm' | 'onPoolFailed'> & Pick<EgressPolicy, 'onDecision'> = {},
): Promise<EmbeddedStarter> {
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
  const { onDecision, ...pool } = more;
  const egress = {
    rules: config.egress,
    resolve: createSystemResolver(),
    ...(onDecision !== undefined && { onDecision }),
  };
  const starter = createLocalStarter({ driver, images, ceilings: config.ceilings, egress, ...pool });
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
  const { createLogger } = await import('./base/logger.ts'); // `slipway run` needs none
  const logger = createLogger(config.logLevel);
  const user = await findSystemUser(serviceUser);
  const main = path.join(import.meta.dirname, 'main.ts');
  await assertReadableBy(user, main);
  await prepareStateDir(config, user);
  await using resources = new AsyncDisposableStack();
  resources.use(await lockService(config.stateDir));
  const embedded = resources.use(
    await openEmbeddedStarter(config, {
      warm: { maxPerKind: config.warmMax, memoryBytes: config.warmMemoryBytes, idleMs: config.warmIdleMs },
      onPoolFailed: (reason) => logger.warn({ reason }, 'no sandbox can be kept ready'),
      onDecision: (run, decision) =>
        logger[decision.kind === 'allowed' ? 'info' : 'warn']({ run, ...decision }, 'egress'),
    }),
  );
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
      await supervisor.stop(stopMs);
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

/** The control plane owns `control/` and nothing else. */
async function prepareStateDir(config: Config, user: { uid: number; gid: number }): Promise<void> {
  const control = path.join(config.stateDir, 'control');
  await mkdir(control, { recursive: true, mode: 0o700 });
  await chmod(config.stateDir, 0o711);
  await chown(control, user.uid, user.gid);
  await chmod(control, 0o700);
}
