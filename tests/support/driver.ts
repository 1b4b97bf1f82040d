/**
 * A real `oci` driver on directories of its own, for tests as root. Disposing it destroys everything and then
 * looks for leftovers in every place where a sandbox leaves traces; what it finds fails the test.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { randomText } from '../../src/base/ids.ts';
import type { Image } from '../../src/model/image.ts';
import { defaultLimits, type Limits } from '../../src/model/limits.ts';
import type { LogChunk, RuntimeDriver, Sandbox, SandboxSpec, SandboxUse } from '../../src/runtime/driver.ts';
import { createOciDriver, type OciDriverOptions } from '../../src/runtime/oci/driver.ts';
import { assertNothingLeft } from './leftovers.ts';

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
      await assertNothingLeft({ install, runtimeDir, stateDir });
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
