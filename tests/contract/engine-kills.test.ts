/** The engine killed with SIGKILL again and again: nothing accepted is lost, nothing runs twice. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { it } from 'node:test';
import { systemClock } from '../../src/base/clock.ts';
import { createSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import { startChild } from '../support/started-child.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';

const kills = 8;
const runsPerLife = 12;

it('keeps every accepted run, in a true state, and begins none twice, over many kills', async () => {
  using directory = createTemporaryDirectory();
  const printed: string[] = [];
  for (let life = 0; life < kills; life++) {
    const engine = startChild('engine-process.ts', directory.path, String(runsPerLife));
    await engine.lines(5 + life * 3);
    engine.child.kill('SIGKILL');
    await engine.exited;
    printed.push(...engine.completeLines());
  }
  const last = startChild('engine-process.ts', directory.path);
  await last.line('idle');
  await last.exited;
  printed.push(...last.completeLines());
  const linesOf = (word: string) =>
    printed.filter((line) => line.startsWith(word)).map((line) => line.split(' ')[1]);
  const [accepted, begun] = [linesOf('accepted'), linesOf('begun')];
  assert.equal(new Set(begun).size, begun.length, 'a program began twice');
  await using store = await createSqliteStore({
    path: join(directory.path, 'slipway.db'),
    clock: systemClock,
  });
  const { runs } = await store.listRuns({ namespace: 'default', limit: 1000 });
  const states = new Map<string, string>(runs.map((run) => [run.id, run.status.state]));
  for (const id of accepted) assert.match(states.get(id ?? '') ?? 'missing', /^(succeeded|lost)$/);
  for (const [id, state] of states) {
    if (state === 'succeeded') assert.ok(begun.includes(id), `${id} succeeded and never began`);
    else assert.equal(state, 'lost');
  }
  assert.ok([...states.values()].includes('succeeded'));
});
