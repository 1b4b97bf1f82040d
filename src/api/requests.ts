/** Shapes of addresses: parameters and query strings. */
import { z } from 'zod';
import { isId } from '../base/ids.ts';
import { parseDuration } from '../base/units.ts';
import type { RunId } from '../model/run.ts';
import { runStates } from '../model/run.ts';
import { problemMediaType, problemSchema } from './views.ts';

/** The longest that one request waits, in ms; a client asks again. */
export const maxWaitMs = 300_000;

export const runParams = z.object({ id: z.string().max(64).describe('The id of a run, `run_…`.') });

/** `*` is the rest of the path. */
export const runFileParams = z.object({ id: runParams.shape.id, '*': z.string() });

export const waitQuery = z.strictObject({
  wait: z
    .string()
    .max(20)
    .refine((text) => isWait(text), {
      error: `must be a duration such as 30s, at most ${maxWaitMs / 60_000}m`,
    })
    .optional()
    .describe('Wait this long for the run to finish, then reply with the run as it is.'),
});

function isWait(text: string): boolean {
  try {
    return parseDuration(text) <= maxWaitMs;
  } catch {
    return false;
  }
}

export const cancelBody = z
  .strictObject({ reason: z.string().max(1000).optional().describe('For people, kept with the run.') })
  .nullish();

const flag = z.enum(['true', 'false']).default('false');

export const logsQuery = z.strictObject({
  stream: z
    .enum(['stdout', 'stderr'])
    .optional()
    .describe('Only this one; both, in order of arrival, if absent.'),
  follow: flag.describe('Go on until the run has ended.'),
});

/** Loose: there are other headers. */
export const eventHeaders = z.looseObject({
  'last-event-id': z
    .string()
    .max(64)
    .optional()
    .describe('The id of the last event that came: only what is new since is sent.'),
});

export const listQuery = z.strictObject({
  limit: z
    .string()
    .regex(/^\d{1,4}$/)
    .default('50')
    .refine((text) => Number(text) >= 1 && Number(text) <= 1000, { error: 'must be from 1 to 1000' }),
  before: z
    .string()
    .refine((text): text is RunId => isId('run', text), { error: 'must be the id of a run' })
    .optional()
    .describe('Only runs older than this one: the `next` of the page before.'),
  state: z.enum(runStates).optional(),
});

const problem = {
  description: 'A problem document (RFC 9457).',
  content: { [problemMediaType]: { schema: problemSchema } },
};

/** The replies that any route can give. */
export const problems = { '4xx': problem, '5xx': problem } as const;

/** A reply of bytes, described for the OpenAPI document; streams are not serialised by a schema. */
export function bytesReply(description: string, mediaType = 'application/octet-stream') {
  return { description, content: { [mediaType]: { schema: z.string() } } };
}
