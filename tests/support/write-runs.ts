/** A process that submits runs for as long as it lives, eight at a time, and prints the id of each accepted one. */
import { writeSync } from 'node:fs';
import { systemClock } from '../../src/base/clock.ts';
import { createSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import { samplePrincipal, sampleRun } from './samples.ts';

const path = process.argv[2] ?? '';
const store = await createSqliteStore({ path, clock: systemClock });
const principal = samplePrincipal({ name: `writer ${process.pid}` });
await store.createPrincipal(principal);

async function write(): Promise<never> {
  for (;;) {
    const run = await store.submitRun(sampleRun(principal));
    writeSync(1, `${run.id}\n`);
  }
}

await Promise.all(Array.from({ length: 8 }, write));
