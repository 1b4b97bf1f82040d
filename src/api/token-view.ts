/** Bearer tokens as the API takes and shows them. */
import { z } from 'zod';

const roleSchema = z
  .enum(['operator', 'caller'])
  .describe('operator: sees and cancels every run, and issues tokens. caller: its own runs only.');

export const createTokenRequestSchema = z
  .strictObject({
    name: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}$/, 'must be 1 to 64 letters, digits and . _ @ + -')
      .describe('Who will use it; tokens of one name see the same runs.'),
    role: roleSchema.default('caller'),
  })
  .meta({ id: 'CreateToken' });

export const tokenParams = z.object({ id: z.string().max(64).describe('The id of a token, `token_…`.') });

export const tokenViewSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    role: roleSchema,
    createdAt: z.string().describe('RFC 3339, in UTC.'),
    revokedAt: z.string().nullable(),
  })
  .meta({ id: 'Token' });

export const issuedTokenSchema = tokenViewSchema
  .extend({ secret: z.string().describe('What to send as the bearer token. It is never shown again.') })
  .meta({ id: 'IssuedToken' });

export const tokenListSchema = z.object({ tokens: z.array(tokenViewSchema) }).meta({ id: 'TokenList' });

export type CreateTokenRequest = z.input<typeof createTokenRequestSchema>;
export type TokenView = z.infer<typeof tokenViewSchema>;
export type IssuedTokenView = z.infer<typeof issuedTokenSchema>;
export type TokenList = z.infer<typeof tokenListSchema>;
