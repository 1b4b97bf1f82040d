/** Who asks: principals and their bearer tokens. Roles, groups and scopes come with the service's identity. */
import type { Id } from '../base/ids.ts';
import type { Namespace, PrincipalId } from './run.ts';

export type TokenId = Id<'token'>;

/** `operator` may see and cancel everything in its namespace; `caller` only its own runs. */
export type Role = 'operator' | 'caller';

export interface Principal {
  readonly id: PrincipalId;
  readonly namespace: Namespace;
  readonly name: string;
  readonly role: Role;
  readonly createdAt: number;
}

/** A bearer token as it is stored: by the SHA-256 of its secret, never the secret. */
export interface Token {
  readonly id: TokenId;
  readonly principal: PrincipalId;
  readonly hash: string;
  readonly createdAt: number;
  readonly revokedAt: number | null;
}
