/** Allocates everything that a sandbox needs on the host before its program can run, or nothing. */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { SlipwayError } from '../../base/errors.ts';
import type { SandboxSpec } from '../driver.ts';
import type { DriverHost } from './driver-host.ts';
import type { Slot } from './files/image-views.ts';
import { mountWork } from './files/work.ts';
import { limitSocketBuffers, prepareCgroup } from './host/cgroups.ts';
import { removeTraces } from './host/traces.ts';
import { assertExecutable, toCommandLine } from './policy/command-line.ts';
import { type PreparedHost, toOciConfig } from './policy/config.ts';
import { Outlet } from './program/outlet.ts';
import { leavesCleanUp } from './program/runtime-process.ts';
import { OciSandbox } from './sandbox.ts';

/**
 * @param onDestroyed told the name once everything of the sandbox is gone
 * @throws SlipwayError `control-missing`, or another reason why the spec cannot be honoured
 */
export async function prepareSandbox(
  host: DriverHost,
  spec: SandboxSpec,
  onDestroyed: (name: string) => void,
): Promise<OciSandbox> {
  const controls = await host.controls();
  assertPossible(host, spec);
  const { name } = host.places.ref(spec.id);
  await claimName(host, name);
  let slot: Slot | undefined;
  let outlet: Outlet | undefined;
  try {
    slot = await host.views.acquire();
    if (spec.outlet !== undefined) outlet = await Outlet.open(spec.outlet, host.places.outletPath(name));
    const networkNamespace = outlet && { networkNamespace: outlet.networkNamespace };
    const prepared = { ...(await allocate(host, spec, slot)), ...networkNamespace };
    const on = new Set(controls.filter(({ state }) => state === 'on').map((control) => control.name));
    return await toSandbox(host, spec, {
      slot,
      outlet,
      prepared: { ...prepared, controls: on },
      onDestroyed,
    });
  } catch (error) {
    await outlet?.close();
    await removeTraces(host, name);
    if (slot !== undefined) host.views.release(slot);
    throw error;
  }
}

/** Of all TCP and UDP sockets of a sandbox together; only cgroup v1 counts them apart from its memory. */
const maxSocketBytes = 16 * 1024 * 1024;

type Allocated = Omit<PreparedHost, 'controls'>;

async function allocate(host: DriverHost, spec: SandboxSpec, slot: Slot): Promise<Allocated> {
  const { places, mounts, views, options } = host;
  const { name } = places.ref(spec.id);
  const work = places.workDir(name);
  await mkdir(work, { mode: 0o700 });
  const data = spec.lateInputs ? await makeLatePlace(host, name) : places.emptyDir;
  const cgroupPath = toRuntimeCgroup(host, name);
  limitSocketBuffers(host.cgroups, cgroupPath, Math.min(maxSocketBytes, spec.limits.memoryBytes));
  // Both must have come to an end before anything is taken back.
  const [view, mounted] = await Promise.allSettled([
    views.view(slot, spec.image),
    mountWork(mounts, {
      limits: spec.limits,
      user: spec.image.user,
      range: slot.range,
      target: work,
      diskDir: places.diskDir(name),
      loopThresholdBytes: options.workLoopThresholdBytes,
    }),
  ]);
  if (view.status === 'rejected') throw view.reason;
  if (mounted.status === 'rejected') throw mounted.reason;
  return {
    rootfs: view.value,
    ids: slot.range,
    work,
    data,
    devices: places.devicesDir(places.starter),
    cgroupPath,
    architecture: process.arch,
    swapLimit: host.facts?.swapLimit ?? false,
  };
}

async function makeLatePlace({ places, mounts }: DriverHost, name: string): Promise<string> {
  const place = places.latePlace(name);
  await mkdir(place, { mode: 0o700 });
  await mounts.sharedTmpfs(place);
  return place;
}

/** A runtime that removes its own cgroup gets one inside of ours, where its figures stay readable. */
function toRuntimeCgroup(host: DriverHost, name: string): string {
  const own = host.places.cgroupPath(name);
  if (leavesCleanUp(host.runtime)) return own;
  prepareCgroup(host.cgroups, own);
  return `${own}/box`;
}

async function toSandbox(
  host: DriverHost,
  spec: SandboxSpec,
  made: {
    slot: Slot;
    outlet: Outlet | undefined;
    prepared: PreparedHost;
    onDestroyed: (name: string) => void;
  },
): Promise<OciSandbox> {
  const { places, options, views } = host;
  const ref = places.ref(spec.id);
  const file = path.join(places.runDir(ref.name), 'config.json');
  const configure = (data: string) =>
    writeFile(file, JSON.stringify(toOciConfig(spec, { ...made.prepared, data })), { mode: 0o600 });
  await configure(made.prepared.data);
  return new OciSandbox({
    host,
    ref,
    spec,
    program: toCommandLine(spec)[0] ?? '',
    runtime: options.runtime,
    outlet: made.outlet,
    configure,
    onDestroyed: () => {
      views.release(made.slot);
      made.onDestroyed(ref.name);
    },
  });
}

/** The run directory is the sandbox's name tag: whoever makes it owns the name. */
async function claimName(host: DriverHost, name: string): Promise<void> {
  try {
    await mkdir(host.places.runDir(name), { mode: 0o700 });
  } catch (cause) {
    throw new SlipwayError('conflict', 'sandbox-exists', `There is a sandbox ${name} already.`, { cause });
  }
}

const idsPerSandbox = 65_536;
/**
 * The runtime's own part inside needs 5 threads until it becomes the program; with a limit of 4 or less its start
 * failed in every fourth case (runc 1.1.5 on 2 busy cores).
 */
const minPids = 8;

function assertPossible(host: DriverHost, spec: SandboxSpec): void {
  if (!host.opened) throw notUsable();
  if (!/^[a-z0-9]{1,32}$/.test(spec.id))
    throw impossible(
      'bad-sandbox-id',
      `Its id ${JSON.stringify(spec.id)} is not 1 to 32 lower-case letters and digits.`,
    );
  const { uid, gid, groups = [] } = spec.image.user;
  const ids = [uid, gid, ...groups];
  if (!ids.every((id) => Number.isInteger(id) && id > 0 && id < idsPerSandbox)) {
    throw impossible(
      'bad-image-user',
      `Its image names the user and groups ${ids.join(', ')}; only 1 to 65535 can be mapped.`,
    );
  }
  if (spec.limits.pids < minPids) throw tooFewPids(spec.limits.pids);
  assertExecutable(spec);
}

function impossible(code: string, reason: string): SlipwayError {
  return new SlipwayError('invalid-input', code, `The sandbox cannot be made. ${reason}`);
}

function tooFewPids(pids: number): SlipwayError {
  return new SlipwayError(
    'unsupported',
    'limit-too-small',
    `A limit of ${pids} processes is too small: the runtime itself needs some inside to start the program. Ask for at least ${minPids}.`,
    { details: { limit: 'pids', least: minPids } },
  );
}

function notUsable(): SlipwayError {
  return new SlipwayError(
    'unavailable',
    'driver-not-usable',
    'Only root can make sandboxes with the oci driver: start Slipway with sudo.',
  );
}
