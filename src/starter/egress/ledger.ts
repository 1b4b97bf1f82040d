/** What one run did through its egress proxy: every decision counted, and the bytes of every connection. */
import type { Socket } from 'node:net';
import type { EgressTarget } from '../../model/egress.ts';
import type { EgressDecision, EgressRecord, EgressUsage } from '../../model/usage.ts';

/** A sandbox can name as many hosts as it likes; what comes after these is counted without names. */
const maxRecords = 64;

export interface LedgerOptions {
  /** Bytes in both directions together. */
  readonly maxBytes: number;
  /** Told of each decision that is the first of its kind; more of them are only counted. */
  readonly onDecision: (decision: EgressDecision) => void;
}

interface Line {
  readonly decision: EgressDecision;
  readonly open: Set<Socket>;
  count: number;
  sentBytes: number;
  receivedBytes: number;
}

export class Ledger {
  readonly #options: LedgerOptions;
  readonly #lines = new Map<string, Line>();
  /** Of connections whose host has no line. */
  readonly #rest: Line = newLine({ host: '', port: 0, kind: 'refused' });

  constructor(options: LedgerOptions) {
    this.#options = options;
  }

  note(
    { host, port }: EgressTarget,
    what: Omit<EgressDecision, 'host' | 'port'> & { readonly socket?: Socket },
  ): void {
    const { socket, ...how } = what;
    const line = this.#lineOf({ host, port, ...how });
    line.count += 1;
    if (socket === undefined) return;
    line.open.add(socket);
    socket.once('close', () => {
      line.open.delete(socket);
      line.sentBytes += socket.bytesWritten;
      line.receivedBytes += socket.bytesRead;
    });
  }

  /** Whether the run has used up its bytes. */
  get isFull(): boolean {
    const { sentBytes, receivedBytes } = this.usage();
    return sentBytes + receivedBytes >= this.#options.maxBytes;
  }

  usage(): EgressUsage {
    const hosts = [...this.#lines.values()].map(toRecord);
    const all = [...hosts, toRecord(this.#rest)];
    const sum = (figure: 'sentBytes' | 'receivedBytes') => all.reduce((total, one) => total + one[figure], 0);
    return {
      sentBytes: sum('sentBytes'),
      receivedBytes: sum('receivedBytes'),
      hosts,
      omitted: this.#rest.count,
    };
  }

  #lineOf(decision: EgressDecision): Line {
    const key = JSON.stringify([
      decision.kind,
      decision.reason,
      decision.host,
      decision.port,
      decision.address,
    ]);
    const known = this.#lines.get(key);
    if (known !== undefined) return known;
    if (this.#lines.size >= maxRecords) return this.#rest;
    const line = newLine(decision);
    this.#lines.set(key, line);
    this.#options.onDecision(decision);
    return line;
  }
}

function newLine(decision: EgressDecision): Line {
  return { decision, open: new Set(), count: 0, sentBytes: 0, receivedBytes: 0 };
}

function toRecord({ decision, open, count, ...closed }: Line): EgressRecord {
  let { sentBytes, receivedBytes } = closed;
  for (const socket of open) {
    sentBytes += socket.bytesWritten;
    receivedBytes += socket.bytesRead;
  }
  return { ...decision, count, sentBytes, receivedBytes };
}
