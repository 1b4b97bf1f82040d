/** Rows of `runs` to Run and back. A row is as little trusted as a request: it is parsed. */
import { z } from 'zod';
import { SlipwayError } from '../base/errors.ts';
import { isId } from '../base/ids.ts';
import { isFinished, outcomeKinds, type PrincipalId, type Run, type RunStatus } from '../model/run.ts';
import { outcomeSchema, runIdSchema, runOrderSchema, runResultSchema } from '../model/run-schema.ts';
import type { RunsTable } from './schema.ts';
import type { NewRun } from './store.ts';

const count = z.number().int().min(0);

/** Text that holds JSON of the given shape. */
const json = <Shape extends z.ZodType>(shape: Shape) => z.preprocess(parseJson, shape);

const common = {
  id: runIdSchema,
  namespace: z.string().min(1),
  principal: z.custom<PrincipalId>((value) => isId('principal', value), 'expected a principal id'),
  submitted_at: count,
  order_json: json(runOrderSchema),
  labels_json: json(z.record(z.string(), z.string())),
  attempts: count,
  fencing_token: count,
  cancel_requested: z.literal([0, 1]),
};

const leased = { lease_holder: z.string(), lease_expires_at: count };

const finished = {
  started_at: count.nullable(),
  finished_at: count,
  outcome_json: json(outcomeSchema),
  usage_json: json(runResultSchema.shape.usage),
  log_digest: runResultSchema.shape.log,
  files_json: json(runResultSchema.shape.files),
  skipped_json: json(runResultSchema.shape.skipped),
};

const rowSchema = z.discriminatedUnion('state', [
  z.object({ ...common, state: z.literal(['submitted', 'queued']) }),
  z.object({ ...common, ...leased, state: z.literal('preparing') }),
  z.object({ ...common, ...leased, state: z.literal('running'), started_at: count }),
  z.object({ ...common, ...finished, state: z.literal(outcomeKinds) }),
]);

type ParsedRow = z.infer<typeof rowSchema>;

/** @throws SlipwayError `run-corrupted` when the row does not make a run */
export function parseRunRow(row: RunsTable): Run {
  const parsed = rowSchema.safeParse(row);
  if (!parsed.success) throw corrupted(row, z.prettifyError(parsed.error));
  const { data } = parsed;
  return {
    id: data.id,
    namespace: data.namespace,
    principal: data.principal,
    submittedAt: data.submitted_at,
    order: data.order_json,
    labels: data.labels_json,
    attempts: data.attempts,
    cancelRequested: data.cancel_requested === 1,
    status: toStatus(data),
  };
}

function toStatus(row: ParsedRow): RunStatus {
  switch (row.state) {
    case 'submitted':
    case 'queued':
      return { state: row.state };
    case 'preparing':
      return { state: row.state, lease: toLease(row) };
    case 'running':
      return { state: row.state, lease: toLease(row), startedAt: row.started_at };
    default:
      return toFinishedStatus(row);
  }
}

function toLease(row: { lease_holder: string; lease_expires_at: number; fencing_token: number }) {
  return { holder: row.lease_holder, token: row.fencing_token, expiresAt: row.lease_expires_at };
}

function toFinishedStatus(row: Extract<ParsedRow, { finished_at: number }>): RunStatus {
  if (row.outcome_json.kind !== row.state) throw corrupted(row, 'its state is not that of its outcome');
  return {
    state: row.state,
    startedAt: row.started_at,
    result: {
      outcome: row.outcome_json,
      finishedAt: row.finished_at,
      usage: row.usage_json,
      log: row.log_digest,
      files: row.files_json,
      skipped: row.skipped_json,
    },
  };
}

/** The row of a run that was just accepted. */
export function toNewRow(run: NewRun): RunsTable {
  return {
    id: run.id,
    namespace: run.namespace,
    principal: run.principal,
    submitted_at: run.submittedAt,
    order_json: JSON.stringify(run.order),
    labels_json: JSON.stringify(run.labels),
    version: 1,
    attempts: 0,
    fencing_token: 0,
    cancel_requested: 0,
    cancel_reason: null,
    ...toStatusColumns({ state: 'submitted' }),
  };
}

type StatusColumns = Pick<RunsTable, 'state' | 'lease_holder' | 'lease_expires_at' | 'started_at'> &
  Pick<
    RunsTable,
    'finished_at' | 'outcome_json' | 'usage_json' | 'log_digest' | 'files_json' | 'skipped_json'
  >;

/** Every column that a status decides; the fencing token is not one of them (it outlives leases). */
export function toStatusColumns(status: RunStatus): StatusColumns {
  const lease = 'lease' in status ? status.lease : undefined;
  return {
    state: status.state,
    lease_holder: lease?.holder ?? null,
    lease_expires_at: lease?.expiresAt ?? null,
    started_at: 'startedAt' in status ? status.startedAt : null,
    ...toResultColumns(status),
  };
}

function toResultColumns(status: RunStatus) {
  const result = isFinished(status) ? status.result : undefined;
  return {
    finished_at: result?.finishedAt ?? null,
    outcome_json: result ? JSON.stringify(result.outcome) : null,
    usage_json: result ? JSON.stringify(result.usage) : null,
    log_digest: result?.log ?? null,
    files_json: result ? JSON.stringify(result.files) : null,
    skipped_json: result ? JSON.stringify(result.skipped) : null,
  };
}

/** JSON of a column, or undefined (which no shape accepts) if it is none. */
function parseJson(text: unknown): unknown {
  try {
    return typeof text === 'string' ? JSON.parse(text) : undefined;
  } catch {
    return undefined;
  }
}

function corrupted(row: { readonly id: string }, fault: string): SlipwayError {
  return new SlipwayError(
    'corrupted',
    'run-corrupted',
    `The stored run ${row.id} cannot be read: ${fault.replaceAll('\n', '; ')}. Restore it from a backup, or delete its row.`,
    { details: { run: row.id } },
  );
}
