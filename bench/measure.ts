/** Interleaved measurements: each candidate in turn, many rounds, so that noise of the machine meets all alike. */

export interface Series {
  readonly name: string;
  /** One measured operation; returns its time in ms if it measures itself. */
  readonly once: (round: number) => Promise<number | undefined>;
}

export interface Figures {
  readonly name: string;
  readonly medianMs: number;
  readonly minMs: number;
  readonly maxMs: number;
  readonly rounds: number;
}

/** Measures all series `rounds` times, after `warmUp` rounds that do not count. */
export async function measure(series: readonly Series[], rounds: number, warmUp = 2): Promise<Figures[]> {
  const times = series.map((): number[] => []);
  for (let round = -warmUp; round < rounds; round++) {
    for (const [index, { once }] of series.entries()) {
      const started = performance.now();
      const own = await once(round);
      if (round >= 0) times[index]?.push(own ?? performance.now() - started);
    }
  }
  return series.map(({ name }, index) => summarise(name, times[index] ?? []));
}

function summarise(name: string, times: readonly number[]): Figures {
  const sorted = times.toSorted((a, b) => a - b);
  return {
    name,
    medianMs: sorted[Math.floor(sorted.length / 2)] ?? Number.NaN,
    minMs: sorted[0] ?? Number.NaN,
    maxMs: sorted.at(-1) ?? Number.NaN,
    rounds: sorted.length,
  };
}

/** A line of a report: what was measured, against what, and the target if there is one. */
export interface Finding {
  readonly what: string;
  readonly value: number;
  readonly unit: string;
  readonly baseline: string;
  readonly ratio: number | null;
  readonly target: string | null;
  readonly reached: boolean | null;
}
