/**
 * The tables, as every database has them. Times are ms since 1970, booleans 0 or 1, `_json` columns JSON text:
 * types that SQLite and PostgreSQL share. What a row means is known in run-row.ts and principal-row.ts alone.
 */
export interface Database {
  readonly namespaces: NamespacesTable;
  readonly principals: PrincipalsTable;
  readonly tokens: TokensTable;
  readonly runs: RunsTable;
  readonly run_events: RunEventsTable;
  readonly blob_references: BlobReferencesTable;
  readonly store_checks: StoreChecksTable;
  readonly migrations: MigrationsTable;
}

export interface NamespacesTable {
  readonly name: string;
  readonly created_at: number;
}

export interface PrincipalsTable {
  readonly id: string;
  readonly namespace: string;
  readonly name: string;
  readonly role: string;
  readonly created_at: number;
}

export interface TokensTable {
  readonly id: string;
  readonly principal: string;
  readonly hash: string;
  readonly created_at: number;
  readonly revoked_at: number | null;
}

export interface RunsTable {
  readonly id: string;
  readonly namespace: string;
  readonly principal: string;
  readonly submitted_at: number;
  readonly order_json: string;
  readonly labels_json: string;
  readonly state: string;
  /** Counts the writes to this row; the number of its newest event. */
  readonly version: number;
  readonly attempts: number;
  /** Set while the run is claimed. */
  readonly lease_holder: string | null;
  readonly lease_expires_at: number | null;
  /** The newest token ever given; it grows with each claim and never goes back. */
  readonly fencing_token: number;
  readonly cancel_requested: number;
  readonly cancel_reason: string | null;
  readonly started_at: number | null;
  /** From here on: set when the run has finished. */
  readonly finished_at: number | null;
  readonly outcome_json: string | null;
  readonly usage_json: string | null;
  readonly log_digest: string | null;
  readonly files_json: string | null;
  readonly skipped_json: string | null;
}

/** The history of a run: one row for each thing that happened to it. */
export interface RunEventsTable {
  readonly run: string;
  readonly number: number;
  readonly at: number;
  readonly event: string;
  /** The state afterwards. */
  readonly state: string;
  /** The fencing token at that time. */
  readonly token: number;
}

export interface BlobReferencesTable {
  readonly digest: string;
  readonly run: string;
}

/** One row, written by `check` to see whether a write succeeds. */
export interface StoreChecksTable {
  readonly id: number;
  readonly checked_at: number;
}

export interface MigrationsTable {
  readonly id: string;
  readonly applied_at: number;
}
