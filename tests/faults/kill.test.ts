/**
 * SIGKILL at any moment: nothing accepted is lost, nothing runs twice, every run ends in a true state, and
 * nothing is left behind. The random moments repeat with KILL_SEED; SOAK=1 has ten times as many.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { RunView } from '../../src/api/run-view.ts';
import { findLeftovers } from '../support/leftovers.ts';
import { findProcesses, isAlive, killProcess, parentOf } from '../support/processes.ts';
import { createRandom, type SeededRandom } from '../support/seeded-random.ts';
import { type ServicePart, type ServiceProcess, startServiceProcess } from '../support/service.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';
import { until } from '../support/until.ts';
import { createCountingRuntime } from './counting-runtime.ts';
import { assertHistories, readHistories } from './history.ts';
import { judgeRun, readOutput } from './judge-run.ts';
import { type Accepted, startLoad } from './load.ts';
import { assertWorks, begun, ended, script, settleMs } from './service-runs.ts';

describe('a killed process', () => {
  it('starter: its control plane ends too; the next starter removes the sandbox, the run is lost', async () => {
    await using service = await startServiceProcess({ settings: cold });
    const run = await startSleeper(service);
    const controlPlane = service.controlPlanePid();
    await service.kill('starter');
    await service.gone();
    assert.ok(controlPlane !== undefined && !isAlive(controlPlane));
    assert.ok(sandboxProcesses(service).length > 0, 'there is something to remove');
    await service.restart();
    assert.deepEqual(sandboxProcesses(service), []);
    await assertLost(service, run);
    await assertWorks(service);
    await assertIdle(service);
  });

  it('control plane: the starter ends its sandboxes and starts it again, the run is lost', async () => {
    await using service = await startServiceProcess({ settings: cold });
    const { starterPid } = service;
    const before = service.controlPlanePid();
    const run = await startSleeper(service);
    await service.kill('control-plane');
    await service.answers();
    assert.equal(service.starterPid, starterPid);
    assert.notEqual(service.controlPlanePid(), before);
    await assertLost(service, run);
    await until('the sandbox is gone', () => sandboxProcesses(service).length === 0);
    await assertWorks(service);
    await assertIdle(service);
  });

  it('runtime of a run: the run is lost, and the next one runs', async () => {
    await using service = await startServiceProcess({ settings: cold });
    const run = await startSleeper(service);
    const [runtime] = findProcesses((_pid, command) => command.includes(`\0run\0`) && isOf(service, command));
    assert.ok(runtime);
    killProcess(runtime);
    await assertLost(service, run);
    await assertWorks(service);
    await assertIdle(service);
  });

  it('helper of the starter: it is started again', async () => {
    await using service = await startServiceProcess({ settings: cold });
    await assertWorks(service);
    const isHelper = (pid: number, command: string) =>
      command.includes('host-mounts.pl') && parentOf(pid) === service.starterPid;
    const [helper] = findProcesses(isHelper);
    assert.ok(helper);
    killProcess(helper);
    await until('it is gone', () => !isAlive(helper));
    await assertWorks(service);
    assert.equal(findProcesses(isHelper).length, 1);
  });

  it('starter, while its control plane is frozen: what that writes when it wakes up does not count', async () => {
    using directory = createTemporaryDirectory();
    const runtime = createCountingRuntime(directory.path);
    await using service = await startServiceProcess({ settings: { ...cold, SLIPWAY_RUNTIME: runtime.path } });
    const { frozen, id } = await freezeWhilePreparing(service);
    await service.kill('starter');
    await service.restart({ SLIPWAY_LISTEN: '127.0.0.1:0' }); // the frozen one has the port
    const { client } = service;
    await until('the next one has claimed the run', async () => (await client.getRun(id)).state !== 'queued');
    process.kill(frozen, 'SIGCONT');
    await until('the frozen one has ended', () => !isAlive(frozen));
    // What it wrote last may come after its end.
    await until('it was told that it is late', () => /the end of a run came too late/.test(service.log), {
      onFailure: () => service.log,
    });
    const run = await ended(client, id);
    assert.equal(run.state, 'succeeded', JSON.stringify(run.outcome));
    assert.equal(await readOutput(client, id), `${largeBytes}\n`);
    assert.equal(runtime.launchesOf(id), 1);
    await assertIdle(service);
    await service.stop();
    const expected = ['submit', 'admit', 'claim', 'requeue', 'claim', 'start', 'finish'];
    assert.deepEqual(readHistories(service.stateDir).get(id), expected);
  });

  it('at random moments under load: nothing accepted is lost, nothing is launched twice', async (t) => {
    using directory = createTemporaryDirectory();
    const runtime = createCountingRuntime(directory.path);
    const settings = { ...cold, SLIPWAY_RUNTIME: runtime.path };
    await killUnderLoad(t, { moments: 30 * length, settings, launchesOf: runtime.launchesOf });
  });

  it('at random moments under load, with sandboxes that are kept ready', async (t) => {
    await killUnderLoad(t, { moments: 20 * length, settings: { SLIPWAY_WARM_IDLE: '1s' } });
  });
});

/** Sandboxes that are launched for one run, whose name they have: so launches can be counted. */
const cold = { SLIPWAY_WARM_MAX: '0' };
const length = process.env['SOAK'] === '1' ? 10 : 1;

interface KillPlan {
  readonly moments: number;
  readonly settings: Readonly<Record<string, string>>;
  /** How often the run was launched, where that can be told. */
  readonly launchesOf?: (run: string) => number;
}

async function killUnderLoad(t: TestContext, plan: KillPlan): Promise<void> {
  const random = createRandom(Number(process.env['KILL_SEED'] ?? Math.random() * 2 ** 32));
  const repeat = `${plan.moments} moments; to repeat them: KILL_SEED=${random.seed}`;
  t.diagnostic(repeat);
  try {
    await killAtMoments(t, plan, random);
  } catch (cause) {
    throw new Error(repeat, { cause });
  }
}

async function killAtMoments(
  t: TestContext,
  { moments, settings, launchesOf }: KillPlan,
  random: SeededRandom,
): Promise<void> {
  await using service = await startServiceProcess({ settings });
  const load = startLoad(service.client, random.fork(), 4);
  const killed = await killAtRandom(service, random, moments);
  await load.stop();
  await service.answers();
  assert.deepEqual(load.failures, [], linesWith(service.log, /"level":50|req_/));
  const runs = await judgeAll(service, load.accepted, launchesOf);
  report(t, runs, killed);
  const count = (state: string) => runs.filter((run) => run.state === state).length;
  assert.ok(count('succeeded') > runs.length / 4, 'the load was really executed');
  assert.ok(count('lost') > 0, 'some moment hit a running program');
  await assertWorks(service);
  await assertIdle(service);
  await service.stop();
  assert.deepEqual(killed.processes.filter(isAlive), []);
  assert.ok(assertHistories(service.stateDir) >= load.accepted.length);
}

function linesWith(log: string, pattern: RegExp): string {
  const lines = log.split('\n').filter((line) => pattern.test(line));
  return lines.slice(-20).join('\n');
}

async function judgeAll(
  service: ServiceProcess,
  accepted: readonly Accepted[],
  launchesOf: KillPlan['launchesOf'],
): Promise<RunView[]> {
  const { client } = service;
  for (const { id } of accepted) await client.getRun(id); // fails for one that was lost
  await until('every run has ended', async () => (await unfinished(service)) === 0, {
    deadlineMs: settleMs,
    onFailure: () => service.log.slice(-4000),
  });
  const runs: RunView[] = [];
  for (const each of accepted) runs.push(await judgeRun(client, each, launchesOf?.(each.id)));
  return runs;
}

const largeBytes = 96 * 1024 * 1024;

/** Freezes the control plane while it sends a run's large input to the starter. */
async function freezeWhilePreparing(service: ServiceProcess): Promise<{ frozen: number; id: string }> {
  const { client } = service;
  const { digest } = await client.uploadBlob(
    (async function* () {
      for (let left = largeBytes; left > 0; left -= 2 ** 20) yield Buffer.alloc(2 ** 20);
    })(),
  );
  const source = 'import os\nprint(os.path.getsize("/data/large"))';
  for (let attempt = 0; attempt < 20; attempt++) {
    const { id } = await client.submitRun(script(source, { inputs: [{ path: 'large', digest }] }));
    await until('the run is prepared', async () => (await client.getRun(id)).state !== 'queued');
    const frozen = service.controlPlanePid();
    assert.ok(frozen);
    process.kill(frozen, 'SIGSTOP');
    if (readHistories(service.stateDir).get(id)?.at(-1) === 'claim') return { frozen, id };
    process.kill(frozen, 'SIGCONT'); // it was faster
    await ended(client, id);
  }
  throw new Error('No run was caught while it was prepared.');
}

interface Killed {
  readonly starters: number;
  readonly controlPlanes: number;
  /** Starters and control planes of all lives. */
  readonly processes: readonly number[];
}

/** Longest time from a start to the next kill. */
const longestLifeMs = 1500;
/** The starter starts a control plane that keeps dying ever more slowly; only a new starter forgets that. */
const controlPlanesInARow = 2;

/** After the last moment the service runs. */
async function killAtRandom(service: ServiceProcess, random: SeededRandom, moments: number): Promise<Killed> {
  const processes = new Set<number>();
  const killed = { 'control-plane': 0, starter: 0 };
  let inARow = 0;
  let starting = Promise.resolve();
  for (let moment = 0; moment < moments; moment++) {
    await delay(random.below(longestLifeMs));
    const isStarter: boolean = inARow >= controlPlanesInARow || random.next() < 0.5;
    const part: ServicePart = isStarter ? 'starter' : 'control-plane';
    for (const pid of [service.starterPid, service.controlPlanePid()]) if (pid) processes.add(pid);
    await service.kill(part);
    killed[part]++;
    inARow = isStarter ? 0 : inARow + 1;
    // A start that the next kill cuts short ends with an error; the last one must not.
    if (isStarter) starting = service.restart();
    starting.catch(() => undefined);
    if (random.next() < 0.7) await (isStarter ? starting.catch(() => undefined) : service.answers());
  }
  await starting;
  return { starters: killed.starter, controlPlanes: killed['control-plane'], processes: [...processes] };
}

function report(t: TestContext, runs: readonly RunView[], killed: Killed): void {
  const ends = Object.entries(Object.groupBy(runs, (run) => run.state));
  const shown = ends.map(([state, those]) => `${those.length} ${state}`).join(', ');
  t.diagnostic(
    `${killed.starters} starters and ${killed.controlPlanes} control planes killed; runs: ${shown}`,
  );
}

async function unfinished({ client }: ServiceProcess): Promise<number> {
  const counts = (['submitted', 'queued', 'preparing', 'running'] as const).map(
    async (state) => (await client.listRuns({ state, limit: 100 })).runs.length,
  );
  return (await Promise.all(counts)).reduce((sum, count) => sum + count);
}

/** A program with children that would run for minutes; resolves with its run when its output has arrived. */
async function startSleeper(service: ServiceProcess): Promise<string> {
  const source = `
import os, time
if os.fork() == 0:
    os.setsid()
    time.sleep(600)
print("begun", flush=True)
time.sleep(600)`;
  const { id } = await service.client.submitRun(script(source));
  await begun(service, id);
  return id;
}

async function assertLost({ client }: ServiceProcess, id: string): Promise<void> {
  assert.equal((await ended(client, id)).state, 'lost');
  assert.equal(await readOutput(client, id), 'begun\n', 'what it had printed is kept');
}

/** Nothing is on this host but what the living starter keeps between two sandboxes. */
async function assertIdle(service: ServiceProcess): Promise<void> {
  const runtimeDir = path.join(service.runtimeDir, service.install);
  const starters = readdirSync(path.join(runtimeDir, 'starters'));
  const living = starters.filter((name) => {
    const { pid } = JSON.parse(readFileSync(path.join(runtimeDir, 'starters', name), 'utf8'));
    return pid === service.starterPid;
  });
  const scope = {
    install: service.install,
    runtimeDir,
    stateDir: path.join(service.stateDir, 'sandboxes'),
    living: living.map((name) => name.replace(/\.json$/, '')),
  };
  assert.equal(scope.living.length, 1);
  let left: readonly string[] = [];
  const look = async () => {
    left = await findLeftovers(scope);
    return left.length === 0;
  };
  // Sandboxes that are kept ready go when nobody has used them for a while.
  await until('nothing is left', look, {
    onFailure: () => `${left.join('\n')}\n${service.log.slice(-4000)}`,
  });
}

function isOf({ install }: ServiceProcess, command: string): boolean {
  return command.includes(`sw-${install}-`);
}

function sandboxProcesses({ install }: ServiceProcess): number[] {
  return findProcesses(
    (pid) => cgroupsOf(pid).includes(`-${install}-`) || cgroupsOf(pid).includes(`/${install}/`),
  );
}

function cgroupsOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cgroup`, 'utf8');
  } catch {
    return ''; // it has ended
  }
}
