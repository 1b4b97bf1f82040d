/**
 * A real `oci` driver on directories of its own, for tests as root. Disposing it destroys everything and then
 * looks for leftovers in every place where a sandbox leaves traces; what it finds fails the test.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { randomText } from '../../src/base/ids.ts';
import type { Image } from '../../src/model/image.ts';
import { defaultLimits, type Limits } from '../../src/model/limits.ts';
import type { LogChunk, RuntimeDriver, Sandbox, SandboxSpec, SandboxUse } from '../../src/runtime/driver.ts';
import { createOciDriver, type OciDriverOptions } from '../../src/runtime/oci/driver.ts';

export interface TestImage {
  readonly image: Image;
  /** The unpacked tree. */
  readonly tree: string;
}

export interface TestDriver extends AsyncDisposable {
  readonly driver: RuntimeDriver;
  readonly image: Image;
  readonly install: string;
  readonly runtimeDir: string;
  readonly stateDir: string;
  /** A spec with the test image, the default limits and an id of its own. */
  spec(use: SandboxUse, changes?: SpecChanges): SandboxSpec;
  /** Runs a command to its end and destroys the sandbox. */
  run(argv: readonly string[], changes?: SpecChanges): Promise<Finished>;
}

export interface SpecChanges {
  readonly limits?: Partial<Limits>;
  readonly env?: Readonly<Record<string, string>>;
  readonly image?: Image;
  readonly streams?: 'merged' | 'separate';
}

export interface Finished {
  readonly status: Awaited<ReturnType<Sandbox['wait']>>;
  readonly stdout: string;
  readonly stderr: string;
}

/** @param changes of the driver's options */
export async function createTestDriver(
  from: TestImage,
  changes: Partial<OciDriverOptions> = {},
): Promise<TestDriver> {
  const install = changes.install ?? randomText(8);
  const runtimeDir = changes.runtimeDir ?? `/run/slipway-test-${install}`;
  const stateDir = changes.stateDir ?? mkdtempSync(path.join(tmpdir(), 'slipway-test-'));
  const driver = await createOciDriver({
    install,
    starter: randomText(8),
    runtimeDir,
    stateDir,
    rootfs: async () => from.tree,
    runtime: { name: 'runc', path: 'runc' },
    switchedOff: new Set(),
    workLoopThresholdBytes: 1024 ** 3,
    ...changes,
  });
  const spec = (use: SandboxUse, wanted: SpecChanges = {}): SandboxSpec => ({
    id: randomText(12),
    image: wanted.image ?? from.image,
    use,
    env: wanted.env ?? {},
    limits: { ...defaultLimits, ...wanted.limits },
  });
  return {
    driver,
    image: from.image,
    install,
    runtimeDir,
    stateDir,
    spec,
    run: (argv, wanted = {}) =>
      runToEnd(driver, spec({ kind: 'command', argv, streams: wanted.streams ?? 'separate' }, wanted)),
    async [Symbol.asyncDispose]() {
      await driver[Symbol.asyncDispose]();
      assert.deepEqual(findLeftovers(install, runtimeDir, stateDir), []);
      rmSync(runtimeDir, { recursive: true, force: true });
      rmSync(stateDir, { recursive: true, force: true });
    },
  };
}

async function runToEnd(driver: RuntimeDriver, spec: SandboxSpec): Promise<Finished> {
  const signal = AbortSignal.timeout(120_000);
  await using sandbox = await driver.create(spec, signal);
  const output = readAll(sandbox.logs(signal));
  await sandbox.start(signal);
  sandbox.stdin.end();
  const [status, texts] = await Promise.all([sandbox.wait(signal), output]);
  return { status, ...texts };
}

/** Both streams as text. */
export async function readAll(
  logs: AsyncIterable<LogChunk>,
): Promise<{ readonly stdout: string; readonly stderr: string }> {
  const chunks: Record<'stdout' | 'stderr', Uint8Array[]> = { stdout: [], stderr: [] };
  for await (const { stream, bytes } of logs) chunks[stream].push(bytes);
  return { stdout: Buffer.concat(chunks.stdout).toString(), stderr: Buffer.concat(chunks.stderr).toString() };
}

/** Everything on this host that carries the install's id. */
export function findLeftovers(install: string, runtimeDir: string, stateDir: string): string[] {
  return [
    ...mountsOf(install, runtimeDir, stateDir),
    ...cgroupsOf(install),
    ...claimsOf(install),
    ...processesOf(install, runtimeDir),
    ...entriesOf(stateDir),
    ...['r', 'sandboxes', 'c', 'views', 'dev', 'starters'].flatMap((name) =>
      entriesOf(path.join(runtimeDir, name)),
    ),
  ];
}

function mountsOf(...marks: readonly string[]): string[] {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  return lines.filter((line) => marks.some((mark) => line.includes(mark)));
}

function cgroupsOf(install: string): string[] {
  const roots = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => / - cgroup2? /.test(line))
    .map((line) => line.split(' ')[4] ?? '');
  return roots.map((root) => `${root}/slipway/${install}`).filter((directory) => existsSync(directory));
}

function claimsOf(install: string): string[] {
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  const directory = `/run/slipway/ids/${boot}`;
  return entriesOf(directory).filter((link) => linkTarget(link).startsWith(`${install}/`));
}

function linkTarget(link: string): string {
  try {
    return readlinkSync(link);
  } catch {
    return '';
  }
}

function processesOf(...marks: readonly string[]): string[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  return pids.flatMap((pid) => {
    const words = commandLine(pid);
    return marks.some((mark) => words.includes(mark)) ? [`process ${pid}: ${words}`] : [];
  });
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}

function entriesOf(directory: string): string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory).map((name) => path.join(directory, name));
}
