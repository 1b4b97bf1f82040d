/** The body of `POST /v1/runs`. Strict: an unknown field is a mistake, because a misspelt limit would be silent. */
import { z } from 'zod';
import { maxEgressTargets } from '../model/egress.ts';
import { requestedLimitsSchema } from '../model/limits.ts';
import { scriptLimits } from '../model/runner-protocol.ts';
import { contentSchema, egressTargetSchema, fileSchema, pathText, programText } from './texts.ts';

/** Linux refuses an execve whose single argument is larger, and ours stays far below its total. */
export const maxArgumentBytes = 128 * 1024;

/** Context and arguments travel to the runner in one frame of 1 MiB. */
const maxContextBytes = 512 * 1024;
const maxContextDepth = 200;

const environmentSchema = z
  .record(
    programText
      .min(1)
      .max(255)
      .regex(/^[^=]*$/, 'an environment name cannot contain "="'),
    programText,
  )
  .refine((env) => Object.keys(env).length <= 1000, { error: 'has more than 1000 variables' });

const labelsSchema = z
  .record(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$/), z.string().max(256))
  .refine((labels) => Object.keys(labels).length <= 32, { error: 'has more than 32 labels' });

const scriptSchema = z
  .strictObject({
    source: z
      .string()
      .refine((text) => text.isWellFormed(), { error: 'must be valid Unicode' })
      .optional()
      .describe('The source of a script of one file.'),
    name: pathText.optional().describe('The name of that file; script.py if none is given.'),
    files: z
      .array(fileSchema)
      .min(1)
      .max(scriptLimits.maxFiles)
      .optional()
      .describe('The files of a larger program.'),
    entry: pathText.optional().describe('Which of `files` to run.'),
  })
  .refine((script) => isOneFile(script) !== isManyFiles(script), {
    error: 'needs either "source" (and "name", if you like), or "files" and "entry"',
  });

type ScriptFields = { source?: unknown; name?: unknown; files?: unknown; entry?: unknown };

function isOneFile(script: ScriptFields): boolean {
  return script.source !== undefined && script.files === undefined && script.entry === undefined;
}

function isManyFiles(script: ScriptFields): boolean {
  const { source, name, files, entry } = script;
  return source === undefined && name === undefined && files !== undefined && entry !== undefined;
}

const submitFields = z.strictObject({
  script: scriptSchema.optional().describe('A script for the runner of the image.'),
  command: z
    .array(programText)
    .max(4096)
    .optional()
    .describe("A program of the image with its arguments; empty: the image's own. Instead of `script`."),
  image: z.string().min(1).max(512).default('python').describe('Name or digest of an image.'),
  args: z.array(programText).max(4096).optional().describe("The script's arguments."),
  env: environmentSchema.optional().describe("Added to the image's environment."),
  context: z.unknown().optional().describe('Any JSON value, handed to the script.'),
  stdin: contentSchema.optional().describe('What the program reads from standard input; else it is empty.'),
  inputs: z.array(fileSchema).max(10_000).optional().describe('Read-only files below /data.'),
  outputs: z
    .array(programText.min(1).max(1024))
    .max(64)
    .default(['**'])
    .describe('Patterns of the files in /work to collect.'),
  streams: z
    .enum(['merged', 'separate'])
    .default('merged')
    .describe('merged: one pipe, in exact order. separate: stdout and stderr apart, their order by arrival.'),
  limits: requestedLimitsSchema
    .optional()
    .describe("What the run may use; the site's defaults fill the gaps."),
  egress: z
    .array(egressTargetSchema)
    .max(maxEgressTargets)
    .optional()
    .describe('The only hosts that the program may reach, by a proxy; without it, none (docs/egress.md).'),
  labels: labelsSchema.optional().describe('Yours, to recognise runs by.'),
});

export const submitRequestSchema = submitFields.superRefine(checkTogether).meta({ id: 'SubmitRun' });

export type SubmitRequest = z.infer<typeof submitRequestSchema>;
/** As a caller may write it: defaults left out. */
export type SubmitRequestInput = z.input<typeof submitRequestSchema>;

function checkTogether(request: z.infer<typeof submitFields>, context: z.RefinementCtx): void {
  const add = (path: string[], message: string) => context.addIssue({ code: 'custom', path, message });
  if ((request.script === undefined) === (request.command === undefined)) {
    add([], 'needs exactly one of "script" and "command"');
  }
  if (request.command !== undefined && request.args !== undefined) {
    add(['args'], 'belongs to a script; a command has its arguments in "command"');
  }
  if (request.command !== undefined && request.context !== undefined) {
    add(['context'], 'belongs to a script; hand data to a command by "stdin", "inputs" or "env"');
  }
  if (argumentBytes(request) > maxArgumentBytes) {
    add(
      [],
      `arguments and environment together are more than ${maxArgumentBytes} bytes; use "inputs" or "stdin"`,
    );
  }
  if (!isShallow(request.context, maxContextDepth)) {
    add(['context'], `is nested more than ${maxContextDepth} deep`);
  } else if (Buffer.byteLength(JSON.stringify(request.context ?? null)) > maxContextBytes) {
    add(['context'], `is more than ${maxContextBytes} bytes of JSON; use "inputs"`);
  }
}

/** As execve counts them: each with its NUL. */
function argumentBytes(request: Pick<z.infer<typeof submitFields>, 'args' | 'command' | 'env'>): number {
  const pairs = Object.entries(request.env ?? {}).map(([name, value]) => `${name}=${value}`);
  const texts = [...(request.command ?? []), ...(request.args ?? []), ...pairs];
  return texts.reduce((sum, text) => sum + Buffer.byteLength(text) + 1, 0);
}

function isShallow(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return depth > 0 && Object.values(value).every((part) => isShallow(part, depth - 1));
}
