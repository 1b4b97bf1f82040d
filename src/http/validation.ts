/** Validation by zod: every mistake of a request is listed, each with a JSON pointer (RFC 6901) to its place. */
import type { FastifySchemaCompiler } from 'fastify';
import type { z } from 'zod';
import { SlipwayError } from '../base/errors.ts';

export interface FieldFault {
  readonly in: string;
  /** A JSON pointer; empty for the whole. */
  readonly pointer: string;
  readonly message: string;
}

/** More would help nobody and would let a request of one kilobyte be answered with a megabyte. */
const maxFaults = 50;

export const compileValidator: FastifySchemaCompiler<z.ZodType> = ({ schema, httpPart }) => {
  return (data) => {
    const result = schema.safeParse(data);
    if (result.success) return { value: result.data };
    return { error: invalidRequest(faultsOf(result.error, httpPart ?? 'request')) };
  };
};

/** The faults of a failed parse. */
export function faultsOf(error: z.ZodError, part: string): readonly FieldFault[] {
  return error.issues.slice(0, maxFaults).map((issue) => ({
    in: part,
    pointer: issue.path.map((key) => `/${escapePointer(String(key))}`).join(''),
    message: issue.message,
  }));
}

function escapePointer(key: string): string {
  return key.slice(0, 200).replaceAll('~', '~0').replaceAll('/', '~1');
}

function invalidRequest(fields: readonly FieldFault[]): SlipwayError {
  const first = fields[0];
  const place = first === undefined ? '' : ` ${first.in}${first.pointer}: ${first.message}`;
  const more = fields.length > 1 ? ` (and ${fields.length - 1} more)` : '';
  return new SlipwayError('invalid-input', 'invalid-request', `The request has a mistake.${place}${more}`, {
    details: { fields },
  });
}
