/** Rows of `principals` and `tokens` to their types. */
import { z } from 'zod';
import { SlipwayError } from '../base/errors.ts';
import { isId } from '../base/ids.ts';
import type { Principal, Token, TokenId } from '../model/principal.ts';
import type { PrincipalId } from '../model/run.ts';
import type { PrincipalsTable, TokensTable } from './schema.ts';

const count = z.number().int().min(0);
const principalId = z.custom<PrincipalId>((value) => isId('principal', value), 'expected a principal id');

const principalSchema = z
  .object({
    id: principalId,
    namespace: z.string().min(1),
    name: z.string(),
    role: z.enum(['operator', 'caller']),
    created_at: count,
  })
  .transform(({ created_at, ...rest }): Principal => ({ ...rest, createdAt: created_at }));

const tokenSchema = z
  .object({
    id: z.custom<TokenId>((value) => isId('token', value), 'expected a token id'),
    principal: principalId,
    hash: z.string(),
    created_at: count,
    revoked_at: count.nullable(),
  })
  .transform(
    ({ created_at, revoked_at, ...rest }): Token => ({
      ...rest,
      createdAt: created_at,
      revokedAt: revoked_at,
    }),
  );

/** @throws SlipwayError `principal-corrupted` */
export function parsePrincipalRow(row: PrincipalsTable): Principal {
  const parsed = principalSchema.safeParse(row);
  if (parsed.success) return parsed.data;
  throw corrupted(`principal ${row.id}`, parsed.error);
}

/** @throws SlipwayError `principal-corrupted` */
export function parseTokenRow(row: TokensTable): Token {
  const parsed = tokenSchema.safeParse(row);
  if (parsed.success) return parsed.data;
  throw corrupted(`token ${row.id}`, parsed.error);
}

function corrupted(what: string, error: z.ZodError): SlipwayError {
  const fault = z.prettifyError(error).replaceAll('\n', '; ');
  return new SlipwayError('corrupted', 'principal-corrupted', `The stored ${what} cannot be read: ${fault}.`);
}
