/** What the parts of the contract are run on. */
import type { Image } from '../../../src/model/image.ts';
import type { RuntimeDriver, SandboxRef } from '../../../src/runtime/driver.ts';
import type { LeftoverScope } from '../../support/leftovers.ts';
import { type Order, type Outcome, runSandbox } from '../../support/run-sandbox.ts';

export interface DriverUnderTest extends AsyncDisposable {
  readonly driver: RuntimeDriver;
  /** With `python3` and `sh` on its PATH. */
  readonly image: Image;
  readonly scope: LeftoverScope;
  /** The first uid that a sandbox may have outside. */
  readonly firstUid: number;
  /** The pids on this host of everything inside a sandbox. */
  pidsOf(ref: SandboxRef): Promise<readonly number[]>;
  /** SIGKILL to whatever carries a running sandbox, but not to what is inside: as an operator or the OOM killer may. */
  killRuntime(ref: SandboxRef): Promise<void>;
  /**
   * A process of its own with a driver of the same installation, which has brought a sandbox to a phase of
   * its life and waits to be killed.
   */
  startVictim(phase: VictimPhase): Promise<Victim>;
}

export const victimPhases = [
  'created',
  'supplied',
  'running',
  'large-work',
  'serving',
  'connected',
  'destroyed',
] as const;

export type VictimPhase = (typeof victimPhases)[number];

export interface Victim {
  readonly ref: SandboxRef;
  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<void>;
}

export type Subject = () => DriverUnderTest;

/** A Python program as argv. */
export function python(source: string, ...args: readonly string[]): string[] {
  return ['python3', '-c', source, ...args];
}

/** Runs a Python program to its end. */
export function runPython(
  subject: Subject,
  source: string,
  order: Partial<Order> & { readonly args?: readonly string[] } = {},
): Promise<Outcome> {
  const { args = [], ...rest } = order;
  const { driver, image } = subject();
  return runSandbox(driver, { image, argv: python(source, ...args), ...rest });
}
