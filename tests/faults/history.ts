/** The histories of runs, read from the database of a service. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** The events of each run, in their order; also of a service that runs. */
export function readHistories(stateDir: string): ReadonlyMap<string, readonly string[]> {
  const path = join(stateDir, 'control', 'slipway.db');
  using database = new DatabaseSync(path, { readOnly: true });
  const rows = database.prepare('select run, event from run_events order by run, number').all();
  const histories = new Map<string, string[]>();
  for (const { run, event } of rows) {
    histories.set(String(run), [...(histories.get(String(run)) ?? []), String(event)]);
  }
  return histories;
}

/**
 * Fails unless every run was started at most once, was never claimed again after its start, and ended once.
 *
 * @returns how many runs there are
 */
export function assertHistories(stateDir: string): number {
  const histories = readHistories(stateDir);
  for (const [run, events] of histories) assertHistory(run, events);
  return histories.size;
}

function assertHistory(run: string, events: readonly string[]): void {
  const shown = `${run}: ${events.join(', ')}`;
  const count = (event: string) => events.filter((each) => each === event).length;
  assert.ok(count('start') <= 1, `started twice: ${shown}`);
  assert.equal(count('finish'), 1, `not ended once: ${shown}`);
  const states = events.filter((event) => event !== 'cancel'); // a wish, at any time
  const start = states.indexOf('start');
  if (start >= 0) assert.deepEqual(states.slice(start), ['start', 'finish'], shown);
}
