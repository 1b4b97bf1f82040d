/** One sandbox from `create` to `destroy`, with everything that came out, for tests that need only the result. */
import { randomText } from '../../src/base/ids.ts';
import type { Image } from '../../src/model/image.ts';
import type { Limits } from '../../src/model/limits.ts';
import { defaultLimits } from '../../src/model/limits.ts';
import type { ExitStatus } from '../../src/model/usage.ts';
import type {
  CollectedEntry,
  CollectRules,
  InputFile,
  RuntimeDriver,
  Sandbox,
  SandboxSpec,
} from '../../src/runtime/driver.ts';

const second = 1000;

/** How long a test waits for anything before it says that it never came. */
export const patienceMs = 60 * second;

export function patience(): AbortSignal {
  return AbortSignal.timeout(patienceMs);
}

export interface Order {
  readonly image: Image;
  readonly argv: readonly string[];
  readonly streams?: 'merged' | 'separate';
  readonly env?: Readonly<Record<string, string>>;
  readonly limits?: Partial<Limits>;
  /** Written and ended before the output is read to its end; by default empty. */
  readonly stdin?: Uint8Array | string;
  /** Path below /data to content. */
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
  readonly collect?: Partial<CollectRules>;
}

export interface CollectedFile {
  readonly path: string;
  readonly bytes: Buffer;
}

export interface Outcome {
  readonly status: ExitStatus;
  readonly stdout: Buffer;
  readonly stderr: Buffer;
  readonly files: readonly CollectedFile[];
  readonly skipped: readonly { readonly path: string; readonly reason: string }[];
}

export function specOf(order: Order): SandboxSpec {
  return {
    id: sandboxId(),
    image: order.image,
    use: { kind: 'command', argv: order.argv, streams: order.streams ?? 'separate' },
    env: order.env ?? {},
    limits: limitsWith(order.limits),
  };
}

export function sandboxId(): string {
  return randomText(12);
}

export function limitsWith(changes: Partial<Limits> = {}): Limits {
  return { ...defaultLimits, ...changes };
}

/** Runs a command to its end and destroys the sandbox. */
export async function runSandbox(driver: RuntimeDriver, order: Order): Promise<Outcome> {
  await using sandbox = await driver.create(specOf(order), patience());
  if (order.files) await sandbox.supply(inputs(order.files), patience());
  await sandbox.start(patience());
  const output = readLogs(sandbox);
  endStdin(sandbox, order.stdin);
  const status = await sandbox.wait(patience());
  const { stdout, stderr } = await output;
  const collected = await collectAll(sandbox, order.collect);
  return { status, stdout, stderr, ...collected };
}

/** A program may end without reading: that is no fault of the test. */
export function endStdin(sandbox: Sandbox, content: Uint8Array | string = ''): void {
  sandbox.stdin.on('error', () => undefined);
  sandbox.stdin.end(content);
}

export async function* inputs(
  files: Readonly<Record<string, string | Uint8Array>>,
): AsyncGenerator<InputFile> {
  for (const [path, content] of Object.entries(files)) yield inputFile(path, Buffer.from(content));
}

export function inputFile(path: string, bytes: Uint8Array): InputFile {
  async function* content() {
    yield bytes;
  }
  return { path, sizeBytes: bytes.length, content: content() };
}

export async function readLogs(sandbox: Sandbox): Promise<{ stdout: Buffer; stderr: Buffer }> {
  const parts = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  for await (const chunk of sandbox.logs(patience())) parts[chunk.stream].push(Buffer.from(chunk.bytes));
  return { stdout: Buffer.concat(parts.stdout), stderr: Buffer.concat(parts.stderr) };
}

/** Reads the output until the program has said `text`; the rest is left to the iterator. */
export async function readUntil(logs: AsyncIterator<{ bytes: Uint8Array }>, text: string): Promise<string> {
  let seen = '';
  while (!seen.includes(text)) {
    const next = await logs.next();
    if (next.done) throw new Error(`The program ended without saying ${JSON.stringify(text)}: ${seen}`);
    seen += Buffer.from(next.value.bytes).toString();
  }
  return seen;
}

export async function drain(logs: AsyncIterator<{ bytes: Uint8Array }>): Promise<string> {
  let seen = '';
  for (let next = await logs.next(); !next.done; next = await logs.next()) {
    seen += Buffer.from(next.value.bytes).toString();
  }
  return seen;
}

export async function collectAll(
  sandbox: Sandbox,
  rules: Partial<CollectRules> = {},
): Promise<Pick<Outcome, 'files' | 'skipped'>> {
  const files: CollectedFile[] = [];
  const skipped: { path: string; reason: string }[] = [];
  const all = { patterns: ['**'], maxFiles: 1000, maxBytes: 64 * 1024 * 1024, ...rules };
  for await (const entry of sandbox.collect(all, patience())) {
    if (entry.kind === 'skipped') skipped.push({ path: entry.path, reason: entry.reason });
    else files.push({ path: entry.path, bytes: await readAll(entry) });
  }
  return { files, skipped };
}

async function readAll(entry: Extract<CollectedEntry, { kind: 'file' }>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of entry.content) parts.push(part);
  return Buffer.concat(parts);
}

/** Asks again and again until it is so. */
export async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + patienceMs;
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error(`It never came to be that ${what}.`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
