/** What the store and its worker thread say to each other: plain data, by structured clone. */
import { type ErrorKind, SlipwayError, toSlipwayError } from '../../base/errors.ts';
import type { OperationName } from '../operations/operations.ts';

/** Given to the worker when it starts. */
export interface WorkerOptions {
  readonly path: string;
  /** False after a crash: a database that is gone is not replaced by an empty one. */
  readonly mayCreate: boolean;
  /** How long a write waits for another process's lock, in ms. */
  readonly lockDeadlineMs: number;
}

export type ToWorker =
  | { readonly type: 'call'; readonly call: Call }
  /** Finish what has arrived, close the database, end. */
  | { readonly type: 'close' };

export interface Call {
  readonly id: number;
  readonly name: OperationName;
  readonly input: unknown;
  /** The time of the call, by the store's clock. */
  readonly now: number;
}

export type FromWorker =
  | { readonly type: 'opened' }
  | { readonly type: 'failed'; readonly error: PlainError }
  /** It will close: what comes next belongs to another worker. */
  | { readonly type: 'ending' }
  | { readonly type: 'answers'; readonly answers: readonly Answer[] };

export type Answer =
  | { readonly id: number; readonly ok: true; readonly value: unknown }
  | { readonly id: number; readonly ok: false; readonly error: PlainError };

/** A SlipwayError without its class, which a structured clone would lose. */
export interface PlainError {
  readonly kind: ErrorKind;
  readonly code: string;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
}

export function toPlainError(thrown: unknown): PlainError {
  const { kind, code, message, details } = toSlipwayError(thrown, 'store-failed');
  return { kind, code, message, details };
}

export function fromPlainError(error: PlainError): SlipwayError {
  return new SlipwayError(error.kind, error.code, error.message, { details: error.details });
}
