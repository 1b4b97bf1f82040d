/**
 * Parsers of the run's types, for every place where they come in from outside: rows of the store, frames of the
 * starter protocol. Each is checked against the type it yields, so that the two cannot drift apart.
 */
import { z } from 'zod';
import { isDigest } from '../base/digest.ts';
import { isId } from '../base/ids.ts';
import { type EgressTarget, isCanonicalHost, maxEgressTargets } from './egress.ts';
import { limitsSchema } from './limits.ts';
import { parseRelativePath } from './paths.ts';
import type { CodeFile, CommandProgram, Program, ScriptProgram } from './program.ts';
import type { Outcome, RunId, RunOrder, RunResult } from './run.ts';
import { type EgressUsage, type ExitStatus, egressReasons, signalNames, type Usage } from './usage.ts';

const count = z.number().int().min(0);
const figure = z.number().min(0).nullable();

export const digestSchema = z.custom<`sha256:${string}`>(
  isDigest,
  'expected "sha256:" and 64 hexadecimal digits',
);

export const runIdSchema = z.custom<RunId>((value) => isId('run', value), 'expected a run id');

export const relativePathSchema = z.string().superRefine((value, context) => {
  try {
    parseRelativePath(value, 'file');
  } catch (error) {
    context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : 'bad path' });
  }
});

/** Text for argv and the environment: no NUL, valid Unicode. */
export const argumentSchema = z
  .string()
  .refine((text) => !text.includes('\0') && text.isWellFormed(), 'must be valid Unicode without NUL');

export const environmentSchema = z.record(
  z.string().regex(/^[^=\0]{1,1024}$/, 'a variable name is not empty and has no "=" and no NUL'),
  argumentSchema,
);

export const streamsSchema = z.enum(['merged', 'separate']);

export const codeFileSchema = z.strictObject({
  path: relativePathSchema,
  digest: digestSchema,
  sizeBytes: count,
}) satisfies z.ZodType<CodeFile>;

export const scriptProgramSchema = z.strictObject({
  kind: z.literal('script'),
  entry: relativePathSchema,
  files: z.array(codeFileSchema).min(1).max(256),
  args: z.array(argumentSchema),
  env: environmentSchema,
  context: z.unknown(),
  streams: streamsSchema,
}) satisfies z.ZodType<ScriptProgram>;

export const commandProgramSchema = z.strictObject({
  kind: z.literal('command'),
  argv: z.array(argumentSchema),
  env: environmentSchema,
  streams: streamsSchema,
}) satisfies z.ZodType<CommandProgram>;

export const programSchema = z.discriminatedUnion('kind', [
  scriptProgramSchema,
  commandProgramSchema,
]) satisfies z.ZodType<Program>;

const fileRefSchema = z.strictObject({ path: relativePathSchema, digest: digestSchema, sizeBytes: count });

export const portSchema = z.number().int().min(1).max(65_535);

export const egressSchema = z
  .array(
    z.strictObject({
      host: z.string().refine(isCanonicalHost, 'expected a host in its canonical spelling'),
      port: portSchema,
    }) satisfies z.ZodType<EgressTarget>,
  )
  .max(maxEgressTargets);

/** Orders that were stored before there was egress have no limit of it, and need none. */
const storedLimitsSchema = z.preprocess(
  (limits) => (typeof limits === 'object' ? { egressBytes: 0, ...limits } : limits),
  limitsSchema,
);

export const runOrderSchema = z.strictObject({
  program: programSchema,
  image: digestSchema,
  imageName: z.string(),
  limits: storedLimitsSchema,
  inputs: z.array(fileRefSchema),
  stdin: digestSchema.exactOptional(),
  egress: egressSchema.exactOptional(),
  outputs: z.array(z.string()),
}) satisfies z.ZodType<RunOrder>;

export const signalSchema = z.enum(signalNames);

export const egressUsageSchema = z.strictObject({
  sentBytes: count,
  receivedBytes: count,
  hosts: z
    .array(
      z.strictObject({
        host: z.string(),
        port: z.number().int().min(0).max(65_535),
        kind: z.enum(['allowed', 'refused', 'failed']),
        reason: z.enum(egressReasons).exactOptional(),
        address: z.string().exactOptional(),
        count,
        sentBytes: count,
        receivedBytes: count,
      }),
    )
    .readonly(),
  omitted: count,
}) satisfies z.ZodType<EgressUsage>;

export const usageSchema = z.strictObject({
  wallMs: z.number().min(0),
  cpuMs: figure,
  cpuUserMs: figure,
  cpuSystemMs: figure,
  memoryPeakBytes: figure,
  pidsPeak: figure,
  readBytes: figure,
  writtenBytes: figure,
  oomKills: figure,
  egress: egressUsageSchema.exactOptional(),
}) satisfies z.ZodType<Usage>;

export const outcomeSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('succeeded') }),
  z.strictObject({ kind: z.literal('failed'), exitCode: z.number().int().min(1).max(255) }),
  z.strictObject({ kind: z.literal('signaled'), signal: signalSchema }),
  z.strictObject({ kind: z.literal('timed-out'), limitMs: count }),
  z.strictObject({ kind: z.literal('oom-killed'), limitBytes: count }),
  z.strictObject({ kind: z.literal('output-limit'), limitBytes: count }),
  z.strictObject({ kind: z.literal('cancelled'), reason: z.string() }),
  z.strictObject({ kind: z.literal('lost'), reason: z.string() }),
  z.strictObject({ kind: z.literal('platform-error'), code: z.string(), message: z.string() }),
]) satisfies z.ZodType<Outcome>;

export const runResultSchema = z.strictObject({
  outcome: outcomeSchema,
  finishedAt: count,
  usage: usageSchema.nullable(),
  log: digestSchema.nullable(),
  files: z.array(fileRefSchema),
  skipped: z.array(z.strictObject({ path: z.string(), reason: z.string() })),
}) satisfies z.ZodType<RunResult>;

export const exitStatusSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('exited'), code: z.number().int().min(0).max(255), usage: usageSchema }),
  z.strictObject({ kind: z.literal('signaled'), signal: signalSchema, usage: usageSchema }),
  z.strictObject({
    kind: z.literal('oom-killed'),
    code: z.number().int().min(0).max(255),
    usage: usageSchema,
  }),
  z.strictObject({ kind: z.literal('lost'), reason: z.string(), usage: usageSchema }),
]) satisfies z.ZodType<ExitStatus>;
