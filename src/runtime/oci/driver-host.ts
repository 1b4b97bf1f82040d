/** What all sandboxes of one driver share on the host, made when the driver is and removed with it. */
import { chmod, mkdir, rmdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { SlipwayError } from '../../base/errors.ts';
import type { Control } from '../../model/control.ts';
import type { Probe } from '../driver.ts';
import { ImageViews, isLackOfIdmaps } from './files/image-views.ts';
import { type CgroupLayout, prepareCgroup, readCgroupLayout, removeIfEmpty } from './host/cgroups.ts';
import { sweepDeadStarters, sweepStarter } from './host/dead-starters.ts';
import { mountDevices } from './host/devices.ts';
import { HostMounts } from './host/host-mounts.ts';
import { type IdSpace, prepareClaims } from './host/id-claims.ts';
import { isStarterAlive, registeredStarters, registerStarter } from './host/starters.ts';
import type { TraceHost } from './host/traces.ts';
import type { OciDriverOptions } from './options.ts';
import { Places } from './places.ts';
import {
  assertControls,
  describeMissing,
  type HostFacts,
  readHostFacts,
  readRuntime,
  toControls,
} from './policy/controls.ts';
import { type RuntimeCommand, runtimeMissing } from './program/runtime-process.ts';
import { measuredFigures } from './program/usage.ts';

const idsPerSandbox = 65_536;
const defaultIdBase = 0x40000000;
const defaultIdCount = 16_384;

/** @throws SlipwayError when the directories cannot be used */
export async function openHost(options: OciDriverOptions): Promise<DriverHost> {
  const places = new Places(options);
  const host = new DriverHost(options, places);
  if (process.getuid?.() === 0) await host.open();
  return host;
}

export class DriverHost implements TraceHost, AsyncDisposable {
  readonly options: OciDriverOptions;
  readonly places: Places;
  readonly mounts: HostMounts;
  readonly runtime: RuntimeCommand;
  readonly cgroups: CgroupLayout = readCgroupLayout();
  readonly views: ImageViews;
  #idmappedMounts: boolean | undefined;
  #facts: HostFacts | undefined;
  #opened = false;

  constructor(options: OciDriverOptions, places: Places) {
    this.options = options;
    this.places = places;
    this.runtime = options.runtime;
    this.mounts = new HostMounts(places.helperTag(places.starter));
    const space: IdSpace = {
      base: options.idBase ?? defaultIdBase,
      count: options.idCount ?? defaultIdCount,
      size: idsPerSandbox,
    };
    this.views = new ImageViews({ places, mounts: this.mounts, space, rootfs: options.rootfs });
  }

  async open(): Promise<void> {
    const { places, mounts } = this;
    await makeDirectories(places);
    await assertPassable(places.runtimeDir);
    await registerStarter(places.runtimeDir, places.starter);
    this.#opened = true;
    try {
      await prepareClaims();
      await this.sweepDeadStarters();
      prepareCgroup(this.cgroups, places.installCgroup);
      await mountDevices(mounts, places.devicesDir(places.starter));
      this.#idmappedMounts = await this.#tryIdmappedMount();
      await this.#look();
    } catch (error) {
      await this[Symbol.asyncDispose]();
      throw error;
    }
  }

  sweepDeadStarters(): Promise<void> {
    return sweepDeadStarters(this);
  }

  /**
   * The controls that are on; the host was looked at when the driver was made or probed.
   *
   * @throws SlipwayError `control-missing`, `runtime-missing`
   */
  async controls(): Promise<readonly Control[]> {
    const known = this.#facts?.runtime === undefined ? await this.#look() : this.#facts;
    if (known.runtime === undefined) throw runtimeMissing(this.options.runtime, 'it does not answer');
    const controls = this.#toControls(known);
    assertControls(controls);
    return controls;
  }

  get facts(): HostFacts | undefined {
    return this.#facts;
  }

  get opened(): boolean {
    return this.#opened;
  }

  async probe(): Promise<Probe> {
    const facts = await this.#look();
    const controls = this.#toControls(facts);
    const problems = [...this.#problems(facts), ...missingOf(controls, facts)];
    return {
      driver: 'oci',
      usable: problems.length === 0,
      problems,
      runtime:
        facts.runtime === undefined ? null : { name: facts.runtimeName, version: facts.runtime.version },
      controls,
      measures: measuredFigures(this.cgroups, this.places.installCgroup),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#opened) return;
    const { places } = this;
    await this.views[Symbol.asyncDispose]();
    await sweepStarter(this, places.starter);
    await this.mounts[Symbol.asyncDispose]();
    this.#opened = false;
    if (!(await hasLivingStarters(places))) removeIfEmpty(this.cgroups, places.installCgroup);
  }

  #toControls(facts: HostFacts): Control[] {
    return toControls(facts, this.options.switchedOff);
  }

  #problems(facts: HostFacts): string[] {
    const { runtime } = this.options;
    const problems: string[] = [];
    if (!this.#opened) problems.push('Only root can make sandboxes with this driver: start it with sudo.');
    if (facts.runtime === undefined) problems.push(runtimeMissing(runtime, 'it does not answer').message);
    return problems;
  }

  async #look(): Promise<HostFacts> {
    const { runtime } = this.options;
    this.#facts = readHostFacts(this.cgroups, {
      runtimeName: runtime.name,
      runtime: await readRuntime(runtime),
      idmappedMounts: this.views.idmapped ?? this.#idmappedMounts,
      installCgroup: this.places.installCgroup,
    });
    return this.#facts;
  }

  /** Tried on the file system of the state directory, where images usually lie too. */
  async #tryIdmappedMount(): Promise<boolean> {
    const { places, mounts } = this;
    const target = path.join(places.viewsDir(places.starter), 'probe');
    await mkdir(target, { recursive: true, mode: 0o711 });
    try {
      await mounts.idmapped(places.stateDir, target, { base: defaultIdBase, count: idsPerSandbox });
      await mounts.unmount(target);
      return true;
    } catch (error) {
      if (isLackOfIdmaps(error)) return false;
      throw error;
    } finally {
      await rmdir(target);
    }
  }
}

/** A runtime that is not there at all is a problem of its own. */
function missingOf(controls: readonly Control[], facts: HostFacts): string[] {
  const missing = controls.filter((control) => control.state === 'missing');
  const counted =
    facts.runtime === undefined ? missing.filter((each) => each.name !== 'patched-runtime') : missing;
  return counted.map(describeMissing);
}

async function hasLivingStarters(places: Places): Promise<boolean> {
  for (const starter of await registeredStarters(places.runtimeDir)) {
    if (await isStarterAlive(places.runtimeDir, starter)) return true;
  }
  return false;
}

/**
 * Users of sandboxes must be able to pass through every directory above theirs.
 *
 * @throws SlipwayError `runtime-dir-closed`
 */
async function assertPassable(directory: string): Promise<void> {
  const othersMayPass = 0o001;
  for (let at = directory; at !== path.dirname(at); at = path.dirname(at)) {
    const { mode } = await stat(at);
    if ((mode & othersMayPass) !== 0) continue;
    throw new SlipwayError(
      'invalid-input',
      'runtime-dir-closed',
      `The runtime directory ${directory} is of no use, because only some users may enter ${at}. Choose another (SLIPWAY_RUNTIME_DIR), or type: chmod o+x ${at}`,
    );
  }
}

/** The sandbox's root user walks through these to its image, so others may pass but not read. */
async function makeDirectories(places: Places): Promise<void> {
  const passable = [places.runtimeDir, places.viewsDir(''), places.viewsDir(places.starter)];
  const closed = [places.runtimeRoot, places.sandboxesDir, places.socketsDir, places.stateDir];
  const first = await mkdir(places.runtimeDir, { recursive: true, mode: 0o711 });
  if (first !== undefined) await makePassable(places.runtimeDir, first);
  await Promise.all(passable.map((directory) => makeDirectory(directory, 0o711)));
  await Promise.all(closed.map((directory) => makeDirectory(directory, 0o700)));
  await makeDirectory(places.emptyDir, 0o555);
}

/** Every directory from `first` down to `last` was just made by us, with modes that the umask has cut. */
async function makePassable(last: string, first: string): Promise<void> {
  for (let at = last; at.length >= first.length; at = path.dirname(at)) await chmod(at, 0o711);
}

async function makeDirectory(directory: string, mode: number): Promise<void> {
  await mkdir(directory, { recursive: true, mode });
  await chmod(directory, mode); // whatever the umask is
}
