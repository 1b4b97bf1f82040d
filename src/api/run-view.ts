/** A run as the API shows it. Environment and context are not shown: they often hold secrets. */
import { z } from 'zod';
import { limitsSchema } from '../model/limits.ts';
import { runStates } from '../model/run.ts';
import { outcomeSchema, usageSchema } from '../model/run-schema.ts';
import { digestText } from './texts.ts';
import { logLineSchema } from './views.ts';

const time = z.string().describe('RFC 3339, in UTC.');
const usageViewSchema = usageSchema
  .describe('Measured from outside the sandbox; null where this host cannot measure it.')
  .meta({ id: 'Usage' });

const outcomeViewSchema = outcomeSchema.meta({ id: 'Outcome' });

export const fileViewSchema = z
  .object({ path: z.string(), sizeBytes: z.number(), digest: digestText, url: z.string() })
  .meta({ id: 'File' });

const skippedSchema = z.object({ path: z.string(), reason: z.string() });

export const outputViewSchema = z
  .object({
    stdout: z.string().describe('The end of stdout as text; all of the output if streams are merged.'),
    stderr: z.string(),
    stdoutBytes: z.number().describe('How much the program wrote, cut parts included.'),
    stderrBytes: z.number(),
    truncated: z.boolean().describe('Whether text is missing here; /logs has all that is kept.'),
  })
  .meta({ id: 'Output' });

const programViewSchema = z.object({
  kind: z.enum(['script', 'command']),
  entry: z.string().optional(),
  args: z.array(z.string()).optional(),
  argv: z.array(z.string()).optional(),
  streams: z.enum(['merged', 'separate']),
});

export const runSummarySchema = z
  .object({
    id: z.string(),
    state: z.enum(runStates),
    finished: z.boolean(),
    outcome: outcomeViewSchema.nullable(),
    image: z.object({ name: z.string(), digest: digestText }),
    program: programViewSchema,
    labels: z.record(z.string(), z.string()),
    cancelRequested: z.boolean(),
    submittedAt: time,
    startedAt: time.nullable(),
    finishedAt: time.nullable(),
    usage: usageViewSchema.nullable(),
  })
  .meta({ id: 'RunSummary' });

export const runViewSchema = runSummarySchema
  .extend({
    limits: limitsSchema,
    inputs: z.array(z.object({ path: z.string(), sizeBytes: z.number(), digest: digestText })),
    outputs: z.array(z.string()),
    egress: z.array(z.object({ host: z.string(), port: z.number() })),
    output: outputViewSchema.nullable().describe('Null until the run has finished, or if nothing ran.'),
    files: z.array(fileViewSchema),
    skipped: z.array(skippedSchema).describe('Paths in /work that were not collected, and why.'),
  })
  .meta({ id: 'Run' });

/** The data of one server-sent event of `/v1/runs/{id}/events`, whose name is its `type`. */
export const runEventSchema = z
  .discriminatedUnion('type', [
    z.object({ type: z.literal('state'), run: runSummarySchema }),
    ...logLineSchema.options,
    z.object({ type: z.literal('finished'), run: runSummarySchema }),
  ])
  .meta({ id: 'RunEvent' });

export const runListSchema = z
  .object({
    runs: z.array(runSummarySchema),
    next: z.string().nullable().describe('Give it as `before` for the next page.'),
  })
  .meta({ id: 'RunList' });

export const fileListSchema = z
  .object({ files: z.array(fileViewSchema), skipped: z.array(skippedSchema) })
  .meta({ id: 'FileList' });

export type RunSummary = z.infer<typeof runSummarySchema>;
export type RunView = z.infer<typeof runViewSchema>;
export type RunEvent = z.infer<typeof runEventSchema>;
export type RunList = z.infer<typeof runListSchema>;
export type FileList = z.infer<typeof fileListSchema>;
export type FileView = z.infer<typeof fileViewSchema>;
export type OutputView = z.infer<typeof outputViewSchema>;
