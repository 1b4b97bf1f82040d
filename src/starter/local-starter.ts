/** The Starter over a runtime driver in this process: the embedded product, the tests, `slipway run` as root. */
import { type Clock, systemClock } from '../base/clock.ts';
import { assertEgressAllowed } from '../model/egress.ts';
import type { Image } from '../model/image.ts';
import { assertWithinCeilings, type Limits } from '../model/limits.ts';
import type { RuntimeDriver, SandboxRef } from '../runtime/driver.ts';
import type { EgressPolicy } from './egress/run-egress.ts';
import { cancelledEarly, executeOrder, sandboxId } from './execute-order.ts';
import { Permission } from './permission.ts';
import type { Execution, ExecutionEvent, ExecutionFeed, ExecutionOrder, Starter } from './starter.ts';
import { WarmPool, type WarmPoolSettings } from './warm-pool.ts';

/** Where the starter finds images; `images/` has the real one. */
export interface ImageSource {
  list(): Promise<readonly Image[]>;
  resolve(reference: string): Promise<Image>;
}

export interface LocalStarterOptions {
  readonly driver: RuntimeDriver;
  readonly images: ImageSource;
  /** The operator's; an order over one of them is refused, whatever the control plane says. */
  readonly ceilings: Limits;
  /** Where the operator lets runs connect to. */
  readonly egress: EgressPolicy;
  /** Keeps ready sandboxes for scripts; without it every sandbox is started when it is needed. */
  readonly warm?: WarmPoolSettings;
  /** The pool could not make a sandbox ready; runs go on without. */
  readonly onPoolFailed?: (reason: string) => void;
  readonly clock?: Clock;
}

export interface LocalStarter extends Starter {
  /** Whether an execution of this starter looks after the sandbox. */
  tends(ref: SandboxRef): boolean;
}

export function createLocalStarter(options: LocalStarterOptions): LocalStarter {
  const { driver, images, clock = systemClock } = options;
  const tended = new Set<string>();
  const pool =
    options.warm === undefined
      ? undefined
      : new WarmPool({ driver, clock, tended, settings: options.warm, onFailed: options.onPoolFailed });
  return {
    tends: (ref) => tended.has(sandboxId(ref)),
    probe: (signal) => driver.probe(signal),
    listImages: () => images.list(),
    resolveImage: (reference) => images.resolve(reference),
    execute: (order, feed, signal) => execute({ ...options, tended, pool }, { order, feed }, signal),
    async [Symbol.asyncDispose]() {
      await pool?.[Symbol.asyncDispose]();
      await driver[Symbol.asyncDispose]();
    },
  };
}

interface Tending extends LocalStarterOptions {
  readonly tended: Set<string>;
  readonly pool: WarmPool | undefined;
}

interface Request {
  readonly order: ExecutionOrder;
  readonly feed: ExecutionFeed;
}

function execute(options: Tending, request: Request, signal: AbortSignal): Execution {
  const permission = new Permission();
  return {
    events: events(options, { ...request, permission }, signal),
    go: () => permission.go(),
    cancel: (reason, graceMs) => permission.cancel(reason, graceMs),
  };
}

async function* events(
  options: Tending,
  { order, feed, permission }: Request & { readonly permission: Permission },
  signal: AbortSignal,
): AsyncGenerator<ExecutionEvent> {
  try {
    assertWithinCeilings(order.limits, options.ceilings);
    assertEgressAllowed(order.egress ?? [], options.egress.rules);
    const image = await options.images.resolve(order.image);
    const { driver, tended, pool, egress } = options;
    yield* executeOrder({ driver, image, order, feed, permission, tended, pool, egress }, signal);
  } catch (error) {
    if (!permission.cancelledEarly.aborted || signal.aborted) throw error;
    yield cancelledEarly(permission.reason ?? 'cancelled');
  }
}
