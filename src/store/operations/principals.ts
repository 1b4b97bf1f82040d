/** Principals and their tokens. */
import { SlipwayError } from '../../base/errors.ts';
import type { Principal, Token } from '../../model/principal.ts';
import { parsePrincipalRow, parseTokenRow } from '../principal-row.ts';
import type { OwnedToken, TokenRevocation } from '../store.ts';
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
export async function findByTokenHash(context: StoreContext, hash: string): Promise<OwnedToken | undefined> {
  const row = await selectTokens(context)
    .where('tokens.hash', '=', hash)
    .where('tokens.revoked_at', 'is', null)
    .executeTakeFirst();
  return row && parseOwnedToken(row);
}

/** Oldest first. */
export async function listTokens(
  context: StoreContext,
  { namespace }: { readonly namespace: string },
): Promise<readonly OwnedToken[]> {
  const rows = await selectTokens(context)
    .where('principals.namespace', '=', namespace)
    .orderBy('tokens.created_at')
    .orderBy('tokens.id')
    .execute();
  return rows.map(parseOwnedToken);
}

/** @throws SlipwayError `token-not-found` */
export async function revokeToken(
  context: StoreContext,
  { namespace, id, at }: TokenRevocation,
): Promise<OwnedToken> {
  const find = () =>
    selectTokens(context)
      .where('tokens.id', '=', id)
      .where('principals.namespace', '=', namespace)
      .executeTakeFirst();
  if (!(await find())) throw tokenNotFound(id);
  await context.db
    .updateTable('tokens')
    .set({ revoked_at: at })
    .where('id', '=', id)
    .where('revoked_at', 'is', null)
    .execute();
  const row = await find();
  if (!row) throw tokenNotFound(id);
  return parseOwnedToken(row);
}

/** Tokens with their principals, whose columns have names of their own. */
function selectTokens({ db }: StoreContext) {
  return db
    .selectFrom('tokens')
    .innerJoin('principals', 'principals.id', 'tokens.principal')
    .selectAll('tokens')
    .select([
      'principals.namespace as owner_namespace',
      'principals.name as owner_name',
      'principals.role as owner_role',
      'principals.created_at as owner_created_at',
    ]);
}

type TokenRow = Awaited<ReturnType<ReturnType<typeof selectTokens>['executeTakeFirstOrThrow']>>;

function parseOwnedToken(row: TokenRow): OwnedToken {
  const { owner_namespace, owner_name, owner_role, owner_created_at, ...token } = row;
  const principal = {
    id: token.principal,
    namespace: owner_namespace,
    name: owner_name,
    role: owner_role,
    created_at: owner_created_at,
  };
  return { token: parseTokenRow(token), principal: parsePrincipalRow(principal) };
}

function tokenNotFound(id: string): SlipwayError {
  return new SlipwayError('not-found', 'token-not-found', `There is no token ${id}. List them first.`);
}
