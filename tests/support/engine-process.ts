/**
 * A process with an engine, to be killed: submits so many runs, executes what it finds, prints a line for each
 * accepted run and for each program that begins, and `idle` when nothing is left to do.
 */
import { writeSync } from 'node:fs';
import { createEngineBench } from './engine-bench.ts';
import { exited, output, prepared, ScriptedStarter, started } from './scripted-starter.ts';

const [directory = '', count = '0'] = process.argv.slice(2);
const print = (line: string) => writeSync(1, `${line}\n`);

const starter = new ScriptedStarter(async function* ({ order, permission }) {
  yield prepared;
  await permission;
  print(`begun ${order.run}`);
  yield started;
  for (let i = 0; i < 3; i++) {
    await new Promise(setImmediate);
    yield output(`${order.run} ${i}\n`);
  }
  yield exited();
});

await using bench = await createEngineBench({ directory, starter });
for (let i = 0; i < Number(count); i++) print(`accepted ${(await bench.submit()).id}`);
while ((await bench.store.countRuns({ states: ['submitted', 'queued', 'preparing', 'running'] })) > 0) {
  await new Promise(setImmediate);
}
print('idle');
