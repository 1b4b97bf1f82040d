/** From a problem document back to the error that it tells of. */
import type { IncomingMessage } from 'node:http';
import { problemSchema } from '../api/views.ts';
import type { ErrorKind } from '../base/errors.ts';
import { errorKinds, SlipwayError } from '../base/errors.ts';
import { badReply, readText } from './transport.ts';

const maxProblemBytes = 1024 * 1024;

/** Never returns: throws what the server says is wrong. */
export async function throwProblem(reply: IncomingMessage, status: number): Promise<never> {
  const text = await readText(reply, maxProblemBytes);
  const parsed = problemSchema.safeParse(parseJson(text));
  if (!parsed.success) throw badReply(`status ${status} without a problem document`, parsed.error);
  const { kind, code, detail, details, requestId } = parsed.data;
  throw new SlipwayError(knownKind(kind), code, detail, { details: { ...details, requestId } });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A newer server may know kinds that this client does not. */
function knownKind(kind: string): ErrorKind {
  return errorKinds.find((known) => known === kind) ?? 'internal';
}
