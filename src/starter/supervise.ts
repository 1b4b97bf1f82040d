/** Keeps one control plane running: starts it, serves it, starts it again when it ends by itself. */
import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '../base/errors.ts';
import {
  type ControlPlaneCommand,
  type ControlPlaneProcess,
  spawnControlPlane,
} from './control-plane-process.ts';
import { type StarterServer, serveStarter } from './remote/serve-starter.ts';
import type { Starter } from './starter.ts';

export interface SupervisorOptions {
  readonly starter: Starter;
  readonly command: ControlPlaneCommand;
  /** The control plane serves at this URL; again after each of its starts. */
  readonly onAnnounced: (url: string) => void;
  /** It ended by itself, and is started again in `delayMs`. */
  readonly onEnded: (how: string, delayMs: number) => void;
}

export interface Supervisor {
  /** The process id of the control plane that runs now, if one does. */
  readonly pid: number | undefined;
  /** Ends the control plane: SIGTERM, SIGKILL after `graceMs`; resolves when it is gone for good. */
  stop(graceMs: number): Promise<void>;
}

const firstDelayMs = 200;
const longestDelayMs = 10_000;
/** A control plane that lived this long starts the back-off anew. */
const steadyMs = 30_000;

/** @throws SlipwayError `control-plane-failed` when the first start fails */
export async function superviseControlPlane(options: SupervisorOptions): Promise<Supervisor> {
  const server = serveStarter(options);
  let running: ControlPlaneProcess | undefined = await startOne(server, options.command);
  const stopping = new AbortController();
  const done = keepRunning();

  async function keepRunning(): Promise<void> {
    let delayMs = firstDelayMs;
    while (!stopping.signal.aborted) {
      const startedAt = performance.now();
      const how = await (running?.ended ?? Promise.resolve('it could not be started'));
      running = undefined;
      if (stopping.signal.aborted) return;
      delayMs = performance.now() - startedAt > steadyMs ? firstDelayMs : delayMs;
      options.onEnded(how, delayMs);
      await delay(delayMs, undefined, { signal: stopping.signal }).catch(() => undefined);
      delayMs = Math.min(longestDelayMs, delayMs * 2);
      if (stopping.signal.aborted) return;
      running = await startOne(server, options.command).catch((error) => {
        options.onEnded(messageOf(error), delayMs);
        return undefined;
      });
    }
  }

  return {
    get pid() {
      return running?.pid;
    },
    async stop(graceMs) {
      stopping.abort();
      await running?.stop(graceMs);
      await done;
      server.close();
    },
  };
}

async function startOne(server: StarterServer, command: ControlPlaneCommand): Promise<ControlPlaneProcess> {
  const process = await spawnControlPlane(command);
  server.accept(process.connection);
  return process;
}
