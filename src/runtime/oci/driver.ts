/**
 * The `oci` driver: sandboxes made by an OCI runtime (runc by default) that is called directly, without a
 * daemon. This file puts the parts together. What a sandbox is allowed and which controls this host has: policy/. How
 * the program runs and ends: program/. Its files, in and out: files/. Mounts, cgroups, id ranges, starters, and what a
 * crash leaves: host/.
 */
import type { Probe, RuntimeDriver, Sandbox, SandboxRef, SandboxSpec } from '../driver.ts';
import { type DriverHost, openHost } from './driver-host.ts';
import { removeUnknown, tracedNames } from './host/traces.ts';
import type { OciDriverOptions } from './options.ts';
import { prepareSandbox } from './prepare.ts';
import type { OciSandbox } from './sandbox.ts';

export type { OciDriverOptions } from './options.ts';

/**
 * Registers this process as a starter and sweeps what dead starters left besides sandboxes. Without root it
 * makes nothing, and `probe` says what is missing.
 */
export async function createOciDriver(options: OciDriverOptions): Promise<RuntimeDriver> {
  return new OciDriver(await openHost(options));
}

class OciDriver implements RuntimeDriver {
  readonly name = 'oci';
  readonly capabilities = { attach: false, lateSupply: true, runner: true, server: true, outlet: true };
  readonly #host: DriverHost;
  readonly #sandboxes = new Map<string, OciSandbox>();

  constructor(host: DriverHost) {
    this.#host = host;
  }

  probe(signal: AbortSignal): Promise<Probe> {
    signal.throwIfAborted();
    return this.#host.probe();
  }

  async create(spec: SandboxSpec, signal: AbortSignal): Promise<Sandbox> {
    signal.throwIfAborted();
    const sandbox = await prepareSandbox(this.#host, spec, (name) => this.#sandboxes.delete(name));
    this.#sandboxes.set(sandbox.ref.name, sandbox);
    if (!signal.aborted) return sandbox;
    await sandbox.destroy();
    throw signal.reason;
  }

  /** A runtime in the foreground belongs to the process that started it. */
  async attach(): Promise<undefined> {
    return undefined;
  }

  async *list(signal: AbortSignal): AsyncGenerator<SandboxRef, void, undefined> {
    for (const name of await tracedNames(this.#host)) {
      signal.throwIfAborted();
      const ref = this.#host.places.parseName(name);
      if (ref !== undefined) yield ref;
    }
  }

  async remove(ref: SandboxRef): Promise<void> {
    const known = this.#host.places.assertOwn(ref);
    const own = this.#sandboxes.get(known.name);
    if (own !== undefined) return own.destroy();
    await removeUnknown(this.#host, known);
    await this.#host.sweepDeadStarters();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ends = await Promise.allSettled([...this.#sandboxes.values()].map((sandbox) => sandbox.destroy()));
    const failed = ends.find((end) => end.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
    await this.#host[Symbol.asyncDispose]();
  }
}
