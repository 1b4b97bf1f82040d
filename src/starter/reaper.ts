/**
 * Removes what belongs to no live run: everything of starters that are dead, and what this starter made but no
 * longer tracks. It asks the driver for every trace, never the runtime for its own list (DESIGN.md, contract 4).
 */
import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '../base/errors.ts';
import type { RuntimeDriver, SandboxRef } from '../runtime/driver.ts';

export interface ReaperOptions {
  readonly driver: RuntimeDriver;
  /** Whether somebody alive still answers for this sandbox. */
  readonly isLive: (ref: SandboxRef) => Promise<boolean>;
  readonly onRemoved?: (ref: SandboxRef) => void;
  readonly onFailed?: (ref: SandboxRef, reason: string) => void;
}

/** One sweep. @returns how many leftovers were removed */
export async function sweep(options: ReaperOptions, signal: AbortSignal): Promise<number> {
  let removed = 0;
  for await (const ref of options.driver.list(signal)) {
    if (await options.isLive(ref)) continue;
    if (await removeLeftover(options, ref)) removed += 1;
  }
  return removed;
}

async function removeLeftover(options: ReaperOptions, ref: SandboxRef): Promise<boolean> {
  try {
    await options.driver.remove(ref);
    options.onRemoved?.(ref);
    return true;
  } catch (error) {
    options.onFailed?.(ref, messageOf(error));
    return false;
  }
}

/** Sweeps again and again until the signal aborts; a failed sweep is reported and the next one tried. */
export async function keepSweeping(
  options: ReaperOptions & { readonly intervalMs: number; readonly onError: (reason: string) => void },
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await delay(options.intervalMs, undefined, { signal, ref: false }).catch(() => undefined);
    if (signal.aborted) return;
    await sweep(options, signal).catch((error) => options.onError(messageOf(error)));
  }
}
