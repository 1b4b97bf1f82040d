/**
 * Slipway's one error hierarchy. An error says what happened, to what, and what to do; it never stands
 * for what user code did (that is the outcome of a run). HTTP statuses live in `http/problem.ts` alone.
 */

/** What kind of failure it is; `http/problem.ts` maps each kind to a status. */
export const errorKinds = [
  'invalid-input',
  'unauthenticated',
  'forbidden',
  'not-found',
  'conflict',
  'too-large',
  'too-many',
  'unsupported',
  'unavailable',
  'timeout',
  'cancelled',
  'corrupted',
  'internal',
] as const;

export type ErrorKind = (typeof errorKinds)[number];

/** Plain JSON, safe to log and to send to the caller. */
export type ErrorDetails = Readonly<Record<string, unknown>>;

export interface SlipwayErrorOptions {
  readonly details?: ErrorDetails;
  readonly cause?: unknown;
}

/**
 * Every failure that Slipway itself reports.
 *
 * @param kind what kind of failure it is
 * @param code stable, in kebab-case, listed in docs/errors.md; programs may match on it
 * @param message for a person: what happened, to what, and what to do
 */
export class SlipwayError extends Error {
  override readonly name = 'SlipwayError';
  readonly kind: ErrorKind;
  readonly code: string;
  readonly details: ErrorDetails;

  constructor(kind: ErrorKind, code: string, message: string, options: SlipwayErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.kind = kind;
    this.code = code;
    this.details = options.details ?? {};
  }
}

export function isSlipwayError(value: unknown, code?: string): value is SlipwayError {
  return value instanceof SlipwayError && (code === undefined || value.code === code);
}

/** Turns whatever was thrown into a SlipwayError, keeping the original as its cause. */
export function toSlipwayError(thrown: unknown, code = 'internal-error'): SlipwayError {
  if (thrown instanceof SlipwayError) return thrown;
  return new SlipwayError('internal', code, messageOf(thrown), { cause: thrown });
}

/** The message of anything that can be thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** The `code` of a Node.js system error (`ENOENT`, `EEXIST`, …), if it is one. */
export function systemCode(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error) || !('code' in thrown)) return undefined;
  return typeof thrown.code === 'string' ? thrown.code : undefined;
}
