/**
 * The one place that knows HTTP statuses of errors: problem documents as in RFC 9457. A kind of error
 * without a status does not compile. What user code did wrong is never here; it is the outcome of a run.
 */
import type { ErrorKind, SlipwayError } from '../base/errors.ts';

export interface Problem {
  /** `urn:slipway:error:<code>` */
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: string;
  readonly kind: ErrorKind;
  readonly details?: Readonly<Record<string, unknown>>;
  readonly requestId: string;
}

const kinds = {
  'invalid-input': { status: 400, title: 'The request cannot be understood' },
  unauthenticated: { status: 401, title: 'A valid token is needed' },
  forbidden: { status: 403, title: 'This is not allowed' },
  'not-found': { status: 404, title: 'There is no such thing' },
  conflict: { status: 409, title: 'The state of the thing does not allow this' },
  'too-large': { status: 413, title: 'The request is too large' },
  'too-many': { status: 429, title: 'Too many requests' },
  unsupported: { status: 422, title: 'This cannot be done here' },
  unavailable: { status: 503, title: 'Slipway cannot do this now' },
  timeout: { status: 504, title: 'It took too long' },
  cancelled: { status: 503, title: 'The request was cancelled' },
  corrupted: { status: 500, title: 'Stored data is damaged' },
  internal: { status: 500, title: 'Something failed inside Slipway' },
} as const satisfies Record<ErrorKind, { readonly status: number; readonly title: string }>;

/** Codes of HTTP itself whose status is narrower than that of their kind. */
const statusOfCode: Readonly<Record<string, number>> = {
  'method-not-allowed': 405,
  'request-timeout': 408,
  'unsupported-media-type': 415,
  'host-not-allowed': 421,
  'headers-too-large': 431,
};

export function statusOf(error: Pick<SlipwayError, 'kind' | 'code'>): number {
  return statusOfCode[error.code] ?? kinds[error.kind].status;
}

/** The problem document of an error. What failed inside is for the log only, found by the request id. */
export function toProblem(error: SlipwayError, requestId: string): Problem {
  const status = statusOf(error);
  const hidden = status === 500;
  const told = hidden
    ? { detail: `The service's log has the reason under the request id ${requestId}.` }
    : { detail: error.message, ...(Object.keys(error.details).length > 0 && { details: error.details }) };
  return {
    type: `urn:slipway:error:${error.code}`,
    title: kinds[error.kind].title,
    status,
    ...told,
    code: error.code,
    kind: error.kind,
    requestId,
  };
}
