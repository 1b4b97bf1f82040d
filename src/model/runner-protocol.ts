/**
 * The runner protocol, version 1, as the starter speaks it: a strict parser for what a runner says, and the
 * builder of the one request. Written down in docs/runner-protocol.md; vectors: conformance/runner-protocol.json.
 * Not here: the framing (base/frames.ts) and who waits for which message (starter/). Nothing a runner says is
 * evidence: exit status, times and resource use are measured from outside.
 */
import { z } from 'zod';
import { SlipwayError } from '../base/errors.ts';
import { maxFrameBytes } from '../base/frames.ts';
import { assertDistinctPaths, parseRelativePath } from './paths.ts';
import type { ScriptProgram } from './program.ts';
import { signalNames } from './usage.ts';

export const runnerProtocolVersion = 1;

/** What one request can carry; sizes in bytes. Larger inputs are given as data. */
export const scriptLimits = {
  maxFiles: 256,
  maxContentBytes: 16 * 1024 * 1024,
  maxMessageBytes: maxFrameBytes,
} as const;

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
    { details: { fields: fieldsOf(value) } },
  );
}

/** Names alone: the values may be nested deeper than JSON.stringify bears. */
function fieldsOf(value: Record<string, unknown>): string[] {
  return Object.keys(value)
    .slice(0, 10)
    .map((field) => field.slice(0, 50));
}

/** The request: a control message, after which the contents of the files follow in order, as bytes frames. */
export interface ScriptRequest {
  readonly type: 'run';
  readonly kind: 'script';
  readonly entry: string;
  /** `size` in bytes, `sha256` as 64 hexadecimal digits. */
  readonly files: readonly { readonly path: string; readonly size: number; readonly sha256: string }[];
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly context: unknown;
  readonly streams: 'merged' | 'separate';
}

/** The folder of the code directory that belongs to the runner. */
const reservedFolder = '.slipway';

/**
 * The request for a script. What a runner would refuse is refused here, where the caller can still be told.
 *
 * @throws SlipwayError `bad-path`, `bad-script-request`, or `script-too-large` over one of `scriptLimits`
 */
export function toScriptRequest(program: ScriptProgram): ScriptRequest {
  checkFiles(program);
  for (const argument of program.args) checkText(argument, 'An argument');
  checkEnv(program.env);
  const { entry, args, env, context, streams } = program;
  const files = program.files.map(({ path, sizeBytes, digest }) => ({
    path,
    size: sizeBytes,
    sha256: digest.slice('sha256:'.length),
  }));
  return fittingOneFrame({
    type: 'run',
    kind: 'script',
    entry,
    files,
    args,
    env,
    context: context ?? null,
    streams,
  });
}

function checkFiles({ entry, files }: ScriptProgram): void {
  if (files.length > scriptLimits.maxFiles) throw tooLarge(`It has ${files.length} files`, 'maxFiles');
  const bytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
  if (bytes > scriptLimits.maxContentBytes)
    throw tooLarge(`Its files have ${bytes} bytes`, 'maxContentBytes');
  const paths = files.map((file) => parseRelativePath(file.path, 'script file'));
  assertDistinctPaths(paths, 'script file');
  if (paths.some((path) => path.split('/')[0] === reservedFolder)) {
    throw badRequest(`The folder ${reservedFolder} is the runner's own; put the script's files elsewhere.`);
  }
  if (paths.includes(entry)) return;
  throw badRequest(`The entry ${JSON.stringify(entry.slice(0, 200))} is not among the script's files.`);
}

function checkEnv(env: Readonly<Record<string, string>>): void {
  for (const [variable, value] of Object.entries(env)) {
    checkText(variable, 'A name in the environment');
    checkText(value, `The environment variable ${variable.slice(0, 100)}`);
    if (variable === '' || variable.includes('=')) {
      throw badRequest('A name in the environment is empty or has "=" in it; use a name such as "LANG".');
    }
  }
}

function checkText(text: string, what: string): void {
  if (!text.includes('\0') && text.isWellFormed()) return;
  throw badRequest(`${what} has a NUL character or half a surrogate pair in it; remove it.`);
}

function fittingOneFrame(request: ScriptRequest): ScriptRequest {
  const bytes = Buffer.byteLength(JSON.stringify(request));
  if (bytes <= scriptLimits.maxMessageBytes) return request;
  throw tooLarge(`Its arguments, environment and context take ${bytes} bytes`, 'maxMessageBytes');
}

function badRequest(message: string): SlipwayError {
  return new SlipwayError('invalid-input', 'bad-script-request', message);
}

function tooLarge(what: string, limit: keyof typeof scriptLimits): SlipwayError {
  return new SlipwayError(
    'too-large',
    'script-too-large',
    `The script is too large. ${what}; at most ${scriptLimits[limit]} are allowed. Give large inputs as data.`,
    { details: { limit: scriptLimits[limit] } },
  );
}
