/** What must be true of a run once everything has calmed down, whatever was killed while it was on its way. */
import assert from 'node:assert/strict';
import type { RunView } from '../../src/api/run-view.ts';
import type { Client } from '../../src/client/client.ts';
import type { Accepted } from './load.ts';

/**
 * Fails unless the run has ended as its script does, or as `lost` with a beginning of its output.
 *
 * @param launches how often a sandbox was launched for it, where that is known
 */
export async function judgeRun(client: Client, accepted: Accepted, launches = 0): Promise<RunView> {
  const { id, kind, marker } = accepted;
  const run = await client.getRun(id);
  const about = `${kind.name} ${id}: ${JSON.stringify(run.outcome)}`;
  assert.ok(run.finished, `${about} is not finished but ${run.state}`);
  assert.ok(launches <= 1, `${about} was launched ${launches} times`);
  const output = await readOutput(client, id);
  const whole = kind.output(marker);
  if (run.state === kind.ends.kind) await judgeOwnEnd(client, accepted, { run, output, about });
  else assert.ok(isBrokenOff(run), `${about} is no true end of this script`);
  assert.ok(whole.startsWith(output), `${about} printed ${JSON.stringify(output)}`);
  return run;
}

interface Seen {
  readonly run: RunView;
  readonly output: string;
  readonly about: string;
}

/** The script came to its own end: then everything of it is there. */
async function judgeOwnEnd(client: Client, { kind, marker }: Accepted, seen: Seen): Promise<void> {
  const { run, output, about } = seen;
  assert.deepEqual(run.outcome, kind.ends, about);
  if (kind.isCancelled) return;
  assert.equal(output, kind.output(marker), about);
  assert.ok(run.usage !== null && run.usage.wallMs > 0, `${about} has no usage`);
  assert.deepEqual(
    run.files.map((file) => file.path),
    kind.leavesFile ? ['out.txt'] : [],
    about,
  );
  if (kind.leavesFile) assert.equal(await readFile(client, run.id), marker, about);
}

/** Its starter or control plane was killed while it ran, or while its files were taken. */
function isBrokenOff({ outcome }: RunView): boolean {
  if (outcome?.kind === 'lost') return true;
  return outcome?.kind === 'platform-error' && outcome.code === 'results-missing';
}

/** The captured output; nothing where no program ran. */
export async function readOutput(client: Client, id: string): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const record of client.readLog(id)) {
    assert.equal(record.kind, 'output');
    if (record.kind === 'output') chunks.push(record.bytes);
  }
  return Buffer.concat(chunks).toString();
}

async function readFile(client: Client, id: string): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of client.readFile(id, 'out.txt')) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}
