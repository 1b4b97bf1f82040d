/** The `oci` driver on directories of its own, as the contract and the hostile suite want it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { randomText } from '../../src/base/ids.ts';
import type { SandboxRef } from '../../src/runtime/driver.ts';
import { createTestDriver } from '../support/driver.ts';
import type { UidRange } from '../support/leftovers.ts';
import { openTestImage } from '../support/test-image.ts';
import type { DriverUnderTest, Victim, VictimPhase } from './driver/subject.ts';

const idsOfSandbox = 65_536;
const sandboxesAtOnce = 128;
const windows = 96;

/** A range of ids below the driver's own: what has one of them belongs to this test process. */
function ownUids(): UidRange {
  const count = sandboxesAtOnce * idsOfSandbox;
  return { first: 0x10000000 + (process.pid % windows) * count, count };
}

/** @throws Error without root: nothing of this can be tested then */
export async function createOciUnderTest(): Promise<DriverUnderTest> {
  if (process.getuid?.() !== 0)
    throw new Error('These tests make real sandboxes: run them as root (sudo npm test).');
  const starter = randomText(8);
  const uids = ownUids();
  const ids = { idBase: uids.first, idCount: sandboxesAtOnce };
  const made = await createTestDriver(await openTestImage(), { starter, ...ids });
  const { driver, image, install, runtimeDir, stateDir } = made;
  return {
    driver,
    image,
    scope: { install, runtimeDir, stateDir, living: [starter], uids },
    firstUid: uids.first,
    pidsOf,
    killRuntime,
    startVictim: (phase) => startVictim({ phase, install, runtimeDir, stateDir, ...ids }),
    [Symbol.asyncDispose]: () => made[Symbol.asyncDispose](),
  };
}

/** By the control groups of each process; what is dead and only waits for its parent does not count. */
async function pidsOf(ref: SandboxRef): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    pids.map(async (pid) => {
      const cgroups = await readFile(`/proc/${pid}/cgroup`, 'utf8').catch(() => '');
      const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
      const isAlive = !/^State:\s+[ZX]/m.test(status) && status !== '';
      return isAlive && cgroups.includes(`/${ref.name}`) ? [Number(pid)] : [];
    }),
  );
  return found.flat();
}

/** The runtime's own process, in the foreground, by the name on its command line. */
async function killRuntime(ref: SandboxRef): Promise<void> {
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const words = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0');
    if (words.includes(ref.name) && words.includes('run')) process.kill(Number(pid), 'SIGKILL');
  }
}

export interface VictimOrder {
  readonly phase: VictimPhase;
  readonly install: string;
  readonly runtimeDir: string;
  readonly stateDir: string;
  readonly idBase: number;
  readonly idCount: number;
}

async function startVictim(order: VictimOrder): Promise<Victim> {
  const program = join(import.meta.dirname, 'oci-victim.ts');
  const stdio: ['ignore', 'pipe', 'inherit'] = ['ignore', 'pipe', 'inherit'];
  const child = spawn(process.execPath, [program, JSON.stringify(order)], { stdio });
  const ended = once(child, 'close');
  for await (const line of createInterface({ input: child.stdout })) {
    const ref: SandboxRef = JSON.parse(line);
    return {
      ref,
      kill: async () => {
        child.kill('SIGKILL');
        await ended;
      },
    };
  }
  throw new Error(`The victim ended before it was ready for ${order.phase}.`);
}
