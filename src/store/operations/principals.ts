/** Principals and their tokens. */
import { SlipwayError } from '../../base/errors.ts';
import type { Principal, Token } from '../../model/principal.ts';
import { parsePrincipalRow, parseTokenRow } from '../principal-row.ts';
import type { StoreContext } from './context.ts';

/** Makes the namespace too, if this is its first principal. @throws SlipwayError `principal-exists` */
export async function createPrincipal(context: StoreContext, principal: Principal): Promise<void> {
  await context.db
    .insertInto('namespaces')
    .values({ name: principal.namespace, created_at: context.now })
    .onConflict((conflict) => conflict.column('name').doNothing())
    .execute();
  const { createdAt, ...rest } = principal;
  const inserted = await context.db
    .insertInto('principals')
    .values({ ...rest, created_at: createdAt })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  if (inserted.numInsertedOrUpdatedRows === 1n) return;
  throw new SlipwayError(
    'conflict',
    'principal-exists',
    `The namespace "${principal.namespace}" has a principal "${principal.name}" already.`,
  );
}

export async function findPrincipal(
  context: StoreContext,
  query: { readonly namespace: string; readonly name: string },
): Promise<Principal | undefined> {
  const row = await context.db
    .selectFrom('principals')
    .selectAll()
    .where('namespace', '=', query.namespace)
    .where('name', '=', query.name)
    .executeTakeFirst();
  return row && parsePrincipalRow(row);
}

/** @throws SlipwayError `principal-not-found`, `token-exists` */
export async function createToken(context: StoreContext, token: Token): Promise<void> {
  await assertPrincipalExists(context, token);
  const inserted = await context.db
    .insertInto('tokens')
    .values({
      id: token.id,
      principal: token.principal,
      hash: token.hash,
      created_at: token.createdAt,
      revoked_at: token.revokedAt,
    })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  if (inserted.numInsertedOrUpdatedRows === 1n) return;
  throw new SlipwayError('conflict', 'token-exists', `The token ${token.id} exists already.`);
}

async function assertPrincipalExists(context: StoreContext, token: Token): Promise<void> {
  const found = await context.db
    .selectFrom('principals')
    .select('id')
    .where('id', '=', token.principal)
    .executeTakeFirst();
  if (found) return;
  throw new SlipwayError('not-found', 'principal-not-found', `There is no principal ${token.principal}.`);
}

/** The owner of a token that is not revoked. */
export async function findByTokenHash(
  context: StoreContext,
  hash: string,
): Promise<{ readonly token: Token; readonly principal: Principal } | undefined> {
  const token = await context.db
    .selectFrom('tokens')
    .selectAll()
    .where('hash', '=', hash)
    .where('revoked_at', 'is', null)
    .executeTakeFirst();
  if (!token) return undefined;
  const principal = await context.db
    .selectFrom('principals')
    .selectAll()
    .where('id', '=', token.principal)
    .executeTakeFirstOrThrow();
  return { token: parseTokenRow(token), principal: parsePrincipalRow(principal) };
}
