/**
 * The runner protocol, version 1, as the starter speaks it: a strict parser for what a runner says, and the
 * builder of the one request. Written down in docs/runner-protocol.md; vectors: conformance/runner-protocol.json.
 * Not here: the framing (base/frames.ts) and who waits for which message (starter/). Nothing a runner says is
 * evidence: exit status, times and resource use are measured from outside.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { SlipwayError } from '../base/errors.ts';
import { encodeBytesFrames, encodeJsonFrame, maxFrameBytes } from '../base/frames.ts';

export const runnerProtocolVersion = 1;

/** What one request can carry; sizes in bytes. Larger inputs belong into /data. */
export const scriptLimits = {
  maxFiles: 256,
  maxContentBytes: 16 * 1024 * 1024,
  maxPathBytes: 1024,
  maxComponentBytes: 255,
  maxPieceBytes: 64 * 1024,
  maxMessageBytes: maxFrameBytes,
} as const;

/** The signals of Linux on x86-64 and arm64 that a script can die of; real-time signals are `SIG32` … `SIG64`. */
export const signalNames = [
  ...[
    'SIGHUP',
    'SIGINT',
    'SIGQUIT',
    'SIGILL',
    'SIGTRAP',
    'SIGABRT',
    'SIGBUS',
    'SIGFPE',
    'SIGKILL',
    'SIGUSR1',
  ],
  ...['SIGSEGV', 'SIGUSR2', 'SIGPIPE', 'SIGALRM', 'SIGTERM', 'SIGSTKFLT', 'SIGCHLD', 'SIGCONT', 'SIGSTOP'],
  ...['SIGTSTP', 'SIGTTIN', 'SIGTTOU', 'SIGURG', 'SIGXCPU', 'SIGXFSZ', 'SIGVTALRM', 'SIGPROF', 'SIGWINCH'],
  ...['SIGIO', 'SIGPWR', 'SIGSYS'],
  ...Array.from({ length: 33 }, (_, index) => `SIG${32 + index}`),
] as const;

const name = z.string().max(64);
const modules = z.array(z.string().max(256)).max(256);

const readySchema = z.strictObject({
  type: z.literal('ready'),
  protocol: z.literal(runnerProtocolVersion),
  runner: name,
  version: name,
  language: name,
  languageVersion: name,
  preloaded: modules,
  preloadFailed: modules.default([]),
});

const messageSchema = z.union([
  readySchema,
  z.strictObject({ type: z.literal('started') }),
  z.strictObject({ type: z.literal('exit'), code: z.int().min(0).max(255) }),
  z.strictObject({ type: z.literal('exit'), signal: z.enum(signalNames) }),
  z.strictObject({ type: z.literal('refused'), reason: z.string().max(1000) }),
]);

/** What a runner says; `exit` has either `code` (0 to 255) or `signal`. */
export type RunnerMessage = z.infer<typeof messageSchema>;

/**
 * Parses the value of a control frame out of a sandbox.
 *
 * @throws SlipwayError `bad-runner-message` on anything but exactly a message of version 1
 */
export function parseRunnerMessage(value: Record<string, unknown>): RunnerMessage {
  const parsed = messageSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new SlipwayError(
    'invalid-input',
    'bad-runner-message',
    `The runner in the sandbox sent a message that is not of runner protocol ${runnerProtocolVersion}; check that the image's runner fits this version of Slipway.`,
    { details: { message: JSON.stringify(value).slice(0, 200) } },
  );
}

/** A file of a script: `path` is relative to the code directory, with `/` between its components. */
export interface ScriptFile {
  readonly path: string;
  readonly content: Uint8Array;
}

/** A script to run: `entry` is the path of one of the files; `context` is any JSON value, null for none. */
export interface ScriptRequest {
  readonly entry: string;
  readonly files: readonly ScriptFile[];
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly context: unknown;
  readonly streams: 'merged' | 'separate';
}

/** The control message of a request; the contents of the files follow it in order, as bytes frames. */
export interface RunMessage {
  readonly type: 'run';
  readonly kind: 'script';
  readonly entry: string;
  readonly files: readonly { readonly path: string; readonly size: number; readonly sha256: string }[];
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly context: unknown;
  readonly streams: 'merged' | 'separate';
}

/**
 * All bytes of a request, frame by frame. It is checked as a whole before the first frame comes.
 *
 * @throws SlipwayError `bad-script-request` when a runner would refuse it, `script-too-large` over a limit
 */
export function encodeRunRequest(request: ScriptRequest): Iterable<Buffer> {
  const message = buildRunMessage(request);
  const bytes = Buffer.byteLength(JSON.stringify(message));
  if (bytes > scriptLimits.maxMessageBytes) {
    throw tooLarge(`Arguments, environment and context take ${bytes} bytes`, scriptLimits.maxMessageBytes);
  }
  return framesOf(message, request.files);
}

function* framesOf(message: RunMessage, files: readonly ScriptFile[]): Generator<Buffer> {
  yield encodeJsonFrame(message);
  for (const file of files) yield* encodeBytesFrames(file.content, scriptLimits.maxPieceBytes);
}

/** The checked control message of a request; throws as `encodeRunRequest` does. */
export function buildRunMessage(request: ScriptRequest): RunMessage {
  checkFiles(request);
  for (const argument of request.args) checkText(argument, 'An argument');
  for (const [key, value] of Object.entries(request.env)) {
    if (key === '' || key.includes('='))
      throw badRequest('A name in the environment is empty or has "=" in it.');
    checkText(key, 'A name in the environment');
    checkText(value, `The environment variable ${key}`);
  }
  const { entry, args, env, context, streams } = request;
  const files = request.files.map(({ path, content }) => ({
    path,
    size: content.length,
    sha256: createHash('sha256').update(content).digest('hex'),
  }));
  return { type: 'run', kind: 'script', entry, files, args, env, context: context ?? null, streams };
}

function checkFiles({ entry, files }: ScriptRequest): void {
  if (files.length > scriptLimits.maxFiles)
    throw tooLarge(`There are ${files.length} files`, scriptLimits.maxFiles);
  const bytes = files.reduce((sum, file) => sum + file.content.length, 0);
  if (bytes > scriptLimits.maxContentBytes) {
    throw tooLarge(`The files have ${bytes} bytes together`, scriptLimits.maxContentBytes);
  }
  const paths = new Set(files.map((file) => parseScriptPath(file.path)));
  if (paths.size < files.length) throw badRequest('Two files have the same path.');
  if (!paths.has(entry)) throw badRequest(`The entry "${entry.slice(0, 100)}" is not among the files.`);
}

/**
 * A path of a script's file: relative, without `.` and `..`, outside the runner's own folder `.slipway`.
 *
 * @throws SlipwayError `bad-script-request`
 */
export function parseScriptPath(path: string): string {
  checkText(path, 'A path');
  const components = path.split('/');
  const isLong = components.some((part) => Buffer.byteLength(part) > scriptLimits.maxComponentBytes);
  if (isLong || Buffer.byteLength(path) > scriptLimits.maxPathBytes) {
    throw badRequest(`The path "${path.slice(0, 100)}" is too long.`);
  }
  if (components.some((part) => ['', '.', '..'].includes(part)) || components[0] === '.slipway') {
    throw badRequest(
      `The path "${path.slice(0, 100)}" is not allowed; use a relative path without "." or "..", outside .slipway.`,
    );
  }
  return path;
}

function checkText(text: string, what: string): void {
  if (!text.includes('\0') && text.isWellFormed()) return;
  throw badRequest(`${what} has a NUL character or half a surrogate pair in it.`);
}

function badRequest(message: string): SlipwayError {
  return new SlipwayError('invalid-input', 'bad-script-request', message);
}

function tooLarge(what: string, limit: number): SlipwayError {
  return new SlipwayError(
    'too-large',
    'script-too-large',
    `${what}; at most ${limit} are allowed. Give large inputs as data.`,
  );
}
