/** New bearer tokens: a secret, told once, of a principal that is made with its first one. */
import type { Clock } from '../base/clock.ts';
import { isSlipwayError, SlipwayError } from '../base/errors.ts';
import { createId } from '../base/ids.ts';
import type { Principal, Token } from '../model/principal.ts';
import type { Store } from '../store/store.ts';
import { createTokenSecret, hashToken } from './token.ts';

export type TokenStore = Pick<Store, 'findPrincipal' | 'createPrincipal' | 'createToken'>;

export type TokenOwner = Pick<Principal, 'namespace' | 'name' | 'role'>;

export interface IssuedToken {
  readonly token: Token;
  readonly principal: Principal;
  /** Stored nowhere. */
  readonly secret: string;
}

/**
 * Makes a token, and its principal if there is none of that name.
 *
 * @throws SlipwayError `principal-has-other-role`
 */
export async function issueToken(store: TokenStore, owner: TokenOwner, clock: Clock): Promise<IssuedToken> {
  const principal = await ensurePrincipal(store, owner, clock);
  if (principal.role !== owner.role) throw otherRole(principal);
  const secret = createTokenSecret();
  const createdAt = clock.now();
  const token: Token = {
    id: createId('token', createdAt),
    principal: principal.id,
    hash: hashToken(secret),
    createdAt,
    revokedAt: null,
  };
  await store.createToken(token);
  return { token, principal, secret };
}

/** Whoever comes first makes it. */
async function ensurePrincipal(store: TokenStore, owner: TokenOwner, clock: Clock): Promise<Principal> {
  const known = await store.findPrincipal(owner);
  if (known !== undefined) return known;
  const now = clock.now();
  const { namespace, name, role } = owner;
  const principal: Principal = { id: createId('principal', now), namespace, name, role, createdAt: now };
  try {
    await store.createPrincipal(principal);
    return principal;
  } catch (error) {
    const winner = isSlipwayError(error, 'principal-exists') ? await store.findPrincipal(owner) : undefined;
    if (winner !== undefined) return winner;
    throw error;
  }
}

function otherRole({ name, role }: Principal): SlipwayError {
  return new SlipwayError(
    'conflict',
    'principal-has-other-role',
    `There is a principal ${JSON.stringify(name)} already, with the role ${role}. Give that role, or another name.`,
  );
}
