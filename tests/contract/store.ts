/**
 * What every Store does. Run once per implementation (store-sqlite.test.ts), against the real database; each
 * implementation gives a place where stores can be opened again and again.
 */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { isSlipwayError } from '../../src/base/errors.ts';
import { createId } from '../../src/base/ids.ts';
import type { Principal } from '../../src/model/principal.ts';
import { isFinished, type Run, type RunId } from '../../src/model/run.ts';
import type { NewRun, Store } from '../../src/store/store.ts';
import { assertFails } from '../support/assert-fails.ts';
import { sampleDigest, sampleOrder, samplePrincipal, sampleResult, sampleRun } from '../support/samples.ts';

/** A database that outlives the stores that are opened on it. */
export interface StorePlace extends AsyncDisposable {
  open(): Promise<Store>;
}

const leaseMs = 10_000;
const now = 2000;

export function testStore(name: string, createPlace: () => Promise<StorePlace>): void {
  describe(`store: ${name}`, () => {
    describe('runs', () => testRuns(createPlace));
    describe('claims and fencing', () => testClaims(createPlace));
    describe('cancelling', () => testCancelling(createPlace));
    describe('recovery', () => testRecovery(createPlace));
    describe('lists', () => testLists(createPlace));
    describe('principals and tokens', () => testPrincipals(createPlace));
    describe('durability and concurrency', () => testDurability(createPlace));
  });
}

function testRuns(createPlace: () => Promise<StorePlace>): void {
  const bench = useBench(createPlace);

  it('keeps everything about a run', async () => {
    const { store, principal } = bench;
    const order: NewRun['order'] = {
      ...sampleOrder,
      program: {
        kind: 'script',
        entry: 'a/main.py',
        files: [{ path: 'a/main.py', digest: sampleDigest, sizeBytes: 7 }],
        args: ['--x', 'ä\u{1f600}'],
        env: { LANG: 'C' },
        context: { deep: [1, null, 'two'], zero: '\0' },
        streams: 'separate',
      },
      inputs: [{ path: 'in.csv', digest: sampleDigest, sizeBytes: 7 }],
      stdin: sampleDigest,
      outputs: ['**'],
    };
    const asked = sampleRun(principal, { order, labels: { team: 'blue' } });
    const run = await store.submitRun(asked);
    assert.deepEqual(run, {
      ...asked,
      attempts: 0,
      cancelRequested: false,
      status: { state: 'submitted' },
    });
    assert.deepEqual(await store.getRun(run.id), run);
  });

  it('refuses a second run of the same id and keeps the first', async () => {
    const first = await bench.store.submitRun(sampleRun(bench.principal));
    const again = sampleRun(bench.principal, { id: first.id, labels: { second: 'yes' } });
    await assertFails(bench.store.submitRun(again), 'run-exists');
    assert.deepEqual(await bench.store.getRun(first.id), first);
  });

  it('refuses a run of an unknown principal, or of one in another namespace', async () => {
    await assertFails(bench.store.submitRun(sampleRun(samplePrincipal())), 'principal-not-found');
    const elsewhere = sampleRun(bench.principal, { namespace: 'elsewhere' });
    await assertFails(bench.store.submitRun(elsewhere), 'principal-not-found');
  });

  it('knows no run that was never submitted', async () => {
    const id = createId('run', 1);
    assert.equal(await bench.store.getRun(id), undefined);
    await assertFails(bench.store.admitRun(id), 'run-not-found');
    await assertFails(bench.store.startRun({ id, token: 1, at: now }), 'run-not-found');
    await assertFails(bench.store.cancelRun({ id, reason: 'x', at: now }), 'run-not-found');
  });

  it('admits once and leaves a run in any other state alone', async () => {
    const { id } = await bench.store.submitRun(sampleRun(bench.principal));
    assert.ok((await bench.store.listSubmitted(100)).includes(id));
    assert.equal((await bench.store.admitRun(id)).status.state, 'queued');
    assert.ok(!(await bench.store.listSubmitted(100)).includes(id));
    assert.equal((await bench.store.admitRun(id)).status.state, 'queued');
    const run = await claimOne(bench.store, id);
    assert.deepEqual(await bench.store.admitRun(id), run);
  });

  it('keeps everything about a result', async () => {
    const claimed = await bench.claimed();
    const started = await bench.store.startRun({ ...claimed, at: 3000 });
    assert.deepEqual(started.status, { state: 'running', lease: leaseOf(started), startedAt: 3000 });
    const result = {
      outcome: { kind: 'failed', exitCode: 3 },
      finishedAt: 4000,
      usage: {
        wallMs: 12.5,
        cpuMs: 3,
        cpuUserMs: null,
        cpuSystemMs: null,
        memoryPeakBytes: 2 ** 40,
        pidsPeak: 2,
        readBytes: 0,
        writtenBytes: null,
        oomKills: 0,
      },
      log: sampleDigest,
      files: [{ path: 'out/ü.png', digest: sampleDigest, sizeBytes: 9 }],
      skipped: [{ path: 'fifo', reason: 'is a FIFO' }],
    } as const;
    const finished = await bench.store.finishRun({ ...claimed, result });
    assert.deepEqual(finished.status, { state: 'failed', startedAt: 3000, result });
    assert.deepEqual(await bench.store.getRun(claimed.id), finished);
  });

  it('knows which blobs a run refers to', async () => {
    const digest = (letter: string) => `sha256:${letter.repeat(64)}` as const;
    const inputs = [{ path: 'in', digest: digest('1'), sizeBytes: 1 }];
    const claimed = await bench.claimed({ order: { ...sampleOrder, inputs, stdin: digest('2') } });
    await bench.store.startRun({ ...claimed, at: now });
    assert.equal(await bench.store.isBlobReferenced(digest('3')), false);
    const files = ['out', 'copy'].map((path) => ({ path, digest: digest('4'), sizeBytes: 1 }));
    const result = { ...sampleResult(), log: digest('3'), files };
    await bench.store.finishRun({ ...claimed, result });
    for (const letter of ['1', '2', '3', '4']) {
      assert.equal(await bench.store.isBlobReferenced(digest(letter)), true, letter);
    }
    assert.equal(await bench.store.isBlobReferenced(digest('5')), false);
  });

  it('says that a write would succeed', async () => {
    await bench.store.check();
  });
}

function testClaims(createPlace: () => Promise<StorePlace>): void {
  const bench = useBench(createPlace);

  it('claims the oldest first, no more than asked, each once', async () => {
    const times = [5000, 3000, 4000, 3001];
    for (const submittedAt of times) await bench.queued({ submittedAt });
    const first = await claim(bench.store, 3);
    assert.deepEqual(first.map(submittedAt), [3000, 3001, 4000]);
    const second = await claim(bench.store, 3);
    assert.deepEqual(second.map(submittedAt), [5000]);
    assert.deepEqual(await claim(bench.store, 3), []);
  });

  it('gives a lease and counts the attempt', async () => {
    const { id } = await bench.queued();
    const run = await claimOne(bench.store, id);
    const lease = { holder: 'holder', token: 1, expiresAt: now + leaseMs };
    assert.deepEqual(run.status, { state: 'preparing', lease });
    assert.equal(run.attempts, 1);
  });

  it('gives a higher token at each claim, and refuses the older ones everywhere', async () => {
    const claimed = await bench.claimed();
    assert.equal((await bench.store.requeueRun(claimed)).status.state, 'queued');
    const between = [
      bench.store.requeueRun(claimed),
      bench.store.startRun({ ...claimed, at: now }),
      bench.store.finishRun({ ...claimed, result: sampleResult({ kind: 'cancelled', reason: 'x' }) }),
    ];
    for (const write of between) await assertFails(write, 'stale-token');
    const run = await claimOne(bench.store, claimed.id);
    assert.equal(leaseOf(run).token, claimed.token + 1);
    assert.equal(run.attempts, 2);
    await assertFails(bench.store.startRun({ ...claimed, at: now }), 'stale-token');
    await assertFails(bench.store.requeueRun(claimed), 'stale-token');
    await assertFails(bench.store.finishRun({ ...claimed, result: sampleResult() }), 'stale-token');
    assert.deepEqual(await bench.store.getRun(claimed.id), run);
  });

  it('refuses what the state does not allow, and changes nothing', async () => {
    const claimed = await bench.claimed();
    await assertFails(bench.store.finishRun({ ...claimed, result: sampleResult() }), 'bad-transition');
    const started = await bench.store.startRun({ ...claimed, at: now });
    await assertFails(bench.store.requeueRun(claimed), 'bad-transition');
    await assertFails(bench.store.startRun({ ...claimed, at: now }), 'bad-transition');
    assert.deepEqual(await bench.store.getRun(claimed.id), started);
    await bench.store.finishRun({ ...claimed, result: sampleResult() });
    await assertFails(bench.store.finishRun({ ...claimed, result: sampleResult() }), 'stale-token');
  });

  it('renews the named claims only, and tells of cancel requests and stale claims', async () => {
    const [kept, wanted, gone, unnamed] = [
      await bench.claimed(),
      await bench.claimed(),
      await bench.claimed(),
      await bench.claimed(),
    ];
    await bench.store.cancelRun({ id: wanted.id, reason: 'enough', at: now });
    await bench.store.requeueRun(gone);
    const renewal = { holder: 'holder', claims: [kept, wanted, gone], now: now + 5000, leaseMs };
    assert.deepEqual(await bench.store.renewLeases(renewal), {
      cancelRequested: [{ id: wanted.id, reason: 'enough' }],
      stale: [gone.id],
    });
    assert.equal(leaseOf(await bench.get(kept.id)).expiresAt, now + 5000 + leaseMs);
    assert.equal(leaseOf(await bench.get(unnamed.id)).expiresAt, now + leaseMs);
    const stranger = { holder: 'stranger', claims: [kept], now, leaseMs };
    assert.deepEqual((await bench.store.renewLeases(stranger)).stale, [kept.id]);
  });
}

function testCancelling(createPlace: () => Promise<StorePlace>): void {
  const bench = useBench(createPlace);
  const cancellation = { reason: 'not needed', at: 4321 };
  const cancelled = { kind: 'cancelled', reason: 'not needed' } as const;

  it('ends a submitted and a queued run at once', async () => {
    const submitted = await bench.store.submitRun(sampleRun(bench.principal));
    const queued = await bench.queued();
    for (const { id } of [submitted, queued]) {
      const run = await bench.store.cancelRun({ id, ...cancellation });
      const result = { ...sampleResult(cancelled), finishedAt: 4321 };
      assert.deepEqual(run.status, { state: 'cancelled', startedAt: null, result });
      assert.equal(run.cancelRequested, true);
    }
    assert.deepEqual(await claim(bench.store, 100), []);
    assert.equal((await bench.store.admitRun(submitted.id)).status.state, 'cancelled');
  });

  for (const state of ['preparing', 'running'] as const) {
    it(`marks a ${state} run for its holder`, async () => {
      const claimed = await bench.claimed();
      if (state === 'running') await bench.store.startRun({ ...claimed, at: now });
      const marked = await bench.store.cancelRun({ id: claimed.id, ...cancellation });
      assert.equal(marked.status.state, state);
      assert.equal(marked.cancelRequested, true);
      const again = await bench.store.cancelRun({ id: claimed.id, reason: 'other', at: 9 });
      assert.deepEqual(again, marked);
      const ended = await bench.store.finishRun({ ...claimed, result: sampleResult(cancelled) });
      assert.equal(ended.status.state, 'cancelled');
    });
  }

  it('ends a marked run instead of queueing it again', async () => {
    const claimed = await bench.claimed();
    await bench.store.cancelRun({ id: claimed.id, ...cancellation });
    const run = await bench.store.requeueRun(claimed);
    assert.ok(isFinished(run.status));
    assert.deepEqual(run.status.result.outcome, cancelled);
  });

  it('leaves a finished run alone', async () => {
    const claimed = await bench.claimed();
    await bench.store.startRun({ ...claimed, at: now });
    const finished = await bench.store.finishRun({ ...claimed, result: sampleResult() });
    assert.deepEqual(await bench.store.cancelRun({ id: claimed.id, ...cancellation }), finished);
  });
}

function testRecovery(createPlace: () => Promise<StorePlace>): void {
  const bench = useBench(createPlace);

  it('takes lapsed runs from their holder: prepared ones again, running ones lost', async () => {
    const preparing = await bench.claimed();
    const running = await bench.claimed();
    await bench.store.startRun({ ...running, at: now });
    const early = { holder: 'other', now: now + leaseMs - 1, exclusive: false };
    assert.deepEqual(await bench.store.recoverRuns(early), { lost: [], requeued: [] });
    const late = { ...early, now: now + leaseMs };
    assert.deepEqual(await bench.store.recoverRuns(late), { lost: [running.id], requeued: [preparing.id] });
    assert.equal((await bench.get(running.id)).status.state, 'lost');
    const result = sampleResult({ kind: 'cancelled', reason: 'late' });
    await assertFails(bench.store.finishRun({ ...preparing, result }), 'stale-token');
    await assertFails(bench.store.finishRun({ ...running, result }), 'stale-token');
    await claimOne(bench.store, preparing.id);
  });

  it('takes every other holder’s runs at once when it is exclusive, not its own', async () => {
    const foreign = await bench.claimed();
    const own = await bench.claimed({}, 'me');
    const recovery = { holder: 'me', now, exclusive: true };
    assert.deepEqual(await bench.store.recoverRuns(recovery), { lost: [], requeued: [foreign.id] });
    assert.equal((await bench.get(own.id)).status.state, 'preparing');
  });

  it('ends a prepared run that somebody wanted cancelled', async () => {
    const claimed = await bench.claimed();
    await bench.store.cancelRun({ id: claimed.id, reason: 'enough', at: now });
    const recovery = { holder: 'other', now: now + 2 * leaseMs, exclusive: false };
    const { requeued } = await bench.store.recoverRuns(recovery);
    assert.ok(!requeued.includes(claimed.id));
    assert.equal((await bench.get(claimed.id)).status.state, 'cancelled');
  });
}

function testLists(createPlace: () => Promise<StorePlace>): void {
  const bench = useBench(createPlace);

  it('pages newest first, every run once', async () => {
    const ids = [];
    for (const submittedAt of [10, 30, 20, 30, 30]) ids.push((await bench.queued({ submittedAt })).id);
    const seen: Run[] = [];
    let page = await bench.store.listRuns({ namespace: 'default', limit: 2 });
    seen.push(...page.runs);
    while (page.next) {
      page = await bench.store.listRuns({ namespace: 'default', limit: 2, before: page.next });
      seen.push(...page.runs);
    }
    assert.deepEqual(seen.map(submittedAt), [30, 30, 30, 20, 10]);
    assert.deepEqual(new Set(seen.map((run) => run.id)), new Set(ids));
  });

  it('keeps namespaces and principals apart', async () => {
    const other = samplePrincipal({ namespace: 'other', name: 'somebody' });
    const colleague = samplePrincipal({ name: 'colleague' });
    for (const principal of [other, colleague]) await bench.store.createPrincipal(principal);
    const [a, b] = [sampleRun(other), sampleRun(colleague)];
    for (const run of [a, b]) await bench.store.submitRun(run);
    const list = async (query: { namespace: string; principal?: Principal['id'] }) =>
      (await bench.store.listRuns({ ...query, limit: 100 })).runs.map((run) => run.id);
    assert.deepEqual(await list({ namespace: 'other' }), [a.id]);
    assert.deepEqual(await list({ namespace: 'default', principal: colleague.id }), [b.id]);
    assert.ok(!(await list({ namespace: 'default' })).includes(a.id));
    assert.deepEqual(await list({ namespace: 'nowhere' }), []);
  });

  it('selects and counts by state', async () => {
    const before = await bench.store.countRuns({ states: ['preparing', 'running'] });
    const { id } = await bench.claimed();
    const { runs } = await bench.store.listRuns({ namespace: 'default', states: ['preparing'], limit: 10 });
    assert.deepEqual(
      runs.map((run) => run.id),
      [id],
    );
    assert.equal(await bench.store.countRuns({ states: ['preparing', 'running'] }), before + 1);
    assert.equal(await bench.store.countRuns({ states: [] }), 0);
    assert.deepEqual((await bench.store.listRuns({ namespace: 'default', states: [], limit: 9 })).runs, []);
  });

  it('refuses a page before an unknown run', async () => {
    const query = { namespace: 'default', limit: 1, before: createId('run', 1) };
    await assertFails(bench.store.listRuns(query), 'run-not-found');
  });
}

function testPrincipals(createPlace: () => Promise<StorePlace>): void {
  const bench = useBench(createPlace);

  it('finds a principal by namespace and name', async () => {
    const ada = samplePrincipal({ name: 'ada', role: 'operator' });
    await bench.store.createPrincipal(ada);
    assert.deepEqual(await bench.store.findPrincipal({ namespace: 'default', name: 'ada' }), ada);
    assert.equal(await bench.store.findPrincipal({ namespace: 'other', name: 'ada' }), undefined);
    await assertFails(bench.store.createPrincipal(samplePrincipal({ name: 'ada' })), 'principal-exists');
  });

  it('finds the owner of a token by its hash, unless it is revoked', async () => {
    const token = {
      id: createId('token', 1),
      principal: bench.principal.id,
      hash: 'h1',
      createdAt: 5,
      revokedAt: null,
    };
    const revoked = { ...token, id: createId('token', 2), hash: 'h2', revokedAt: 6 };
    await bench.store.createToken(token);
    await bench.store.createToken(revoked);
    assert.deepEqual(await bench.store.findByTokenHash('h1'), { token, principal: bench.principal });
    assert.equal(await bench.store.findByTokenHash('h2'), undefined);
    assert.equal(await bench.store.findByTokenHash('h3'), undefined);
    await assertFails(bench.store.createToken(token), 'token-exists');
    const orphan = { ...token, id: createId('token', 3), hash: 'h4', principal: samplePrincipal().id };
    await assertFails(bench.store.createToken(orphan), 'principal-not-found');
  });

  it('lists the tokens of a namespace and revokes them, once and for good', async () => {
    const { store, principal } = bench;
    const other = samplePrincipal({ namespace: 'other', name: 'eve' });
    await store.createPrincipal(other);
    const make = (createdAt: number, owner: string, hash: string) => ({
      id: createId('token', createdAt),
      principal: owner === 'eve' ? other.id : principal.id,
      hash,
      createdAt,
      revokedAt: null,
    });
    const [first, second, foreign] = [make(1, 'us', 'a1'), make(2, 'us', 'a2'), make(3, 'eve', 'a3')];
    for (const token of [second, first, foreign]) await store.createToken(token);
    const { namespace } = principal;
    assert.deepEqual(await store.listTokens({ namespace }), [
      { token: first, principal },
      { token: second, principal },
    ]);
    const revoked = { token: { ...first, revokedAt: 9 }, principal };
    assert.deepEqual(await store.revokeToken({ namespace, id: first.id, at: 9 }), revoked);
    assert.equal(await store.findByTokenHash('a1'), undefined);
    assert.deepEqual(await store.revokeToken({ namespace, id: first.id, at: 10 }), revoked);
    assert.deepEqual((await store.listTokens({ namespace }))[0], revoked);
    assert.notEqual(await store.findByTokenHash('a2'), undefined);
    await assertFails(store.revokeToken({ namespace, id: foreign.id, at: 9 }), 'token-not-found');
    await assertFails(store.revokeToken({ namespace, id: createId('token', 4), at: 9 }), 'token-not-found');
    assert.notEqual(await store.findByTokenHash('a3'), undefined);
  });
}

function testDurability(createPlace: () => Promise<StorePlace>): void {
  it('finds everything again after it was closed', async () => {
    await using place = await createPlace();
    const principal = samplePrincipal();
    const run = sampleRun(principal);
    {
      await using store = await place.open();
      await store.createPrincipal(principal);
      await store.submitRun(run);
      await store.admitRun(run.id);
      await claimOne(store, run.id);
    }
    await using store = await place.open();
    const found = await store.getRun(run.id);
    assert.deepEqual(found?.order, run.order);
    assert.equal(found?.status.state, 'preparing');
    await store.startRun({ id: run.id, token: 1, at: now });
  });

  it('does everything that was asked before it is closed, and nothing after', async () => {
    await using place = await createPlace();
    const principal = samplePrincipal();
    const store = await place.open();
    await store.createPrincipal(principal);
    const submitted = Array.from({ length: 50 }, () => store.submitRun(sampleRun(principal)));
    await store[Symbol.asyncDispose]();
    assert.equal((await Promise.all(submitted)).length, 50);
    await assertFails(store.check(), 'store-closed');
    await using again = await place.open();
    assert.equal(await again.countRuns({ states: ['submitted'] }), 50);
  });

  it('undoes a failed operation alone, among many at once', async () => {
    await using place = await createPlace();
    await using store = await place.open();
    const principal = samplePrincipal();
    await store.createPrincipal(principal);
    const taken = await store.submitRun(sampleRun(principal));
    const results = await Promise.allSettled(
      Array.from({ length: 60 }, (_, index) =>
        store.submitRun(sampleRun(principal, index % 3 === 0 ? { id: taken.id } : {})),
      ),
    );
    const failures = results.filter((result) => result.status === 'rejected');
    assert.equal(failures.length, 20);
    for (const { reason } of failures) assert.ok(isSlipwayError(reason, 'run-exists'));
    assert.equal(await store.countRuns({ states: ['submitted'] }), 41);
  });

  it('never gives one run to two stores', async () => {
    await using place = await createPlace();
    await using first = await place.open();
    await using second = await place.open();
    const principal = samplePrincipal();
    await first.createPrincipal(principal);
    const ids = new Set<RunId>();
    for (let i = 0; i < 60; i++) ids.add(await submitQueued(i % 2 ? first : second, sampleRun(principal)));
    const claimAll = async (store: Store) => {
      const claimed: Run[] = [];
      for (;;) {
        const runs = await claim(store, 3);
        if (runs.length === 0) return claimed;
        claimed.push(...runs);
      }
    };
    const claimed = (await Promise.all([first, second, first, second].map(claimAll))).flat();
    assert.equal(claimed.length, 60);
    assert.deepEqual(new Set(claimed.map((run) => run.id)), ids);
    assert.ok(claimed.every((run) => leaseOf(run).token === 1));
  });
}

/** A store with a principal, fresh for each test. */
interface Bench {
  readonly store: Store;
  readonly principal: Principal;
  queued(change?: Partial<NewRun>): Promise<Run>;
  claimed(change?: Partial<NewRun>, holder?: string): Promise<{ readonly id: RunId; readonly token: number }>;
  get(id: RunId): Promise<Run>;
}

function useBench(createPlace: () => Promise<StorePlace>): Bench {
  const principal = samplePrincipal();
  let resources = new AsyncDisposableStack();
  let store: Store | undefined;
  beforeEach(async () => {
    const place = resources.use(await createPlace());
    store = resources.use(await place.open());
    await store.createPrincipal(principal);
  });
  afterEach(async () => {
    await resources.disposeAsync();
    resources = new AsyncDisposableStack();
  });
  const opened = () => store ?? assert.fail('the store is not open yet');
  return {
    get store() {
      return opened();
    },
    principal,
    async queued(change) {
      const id = await submitQueued(opened(), sampleRun(principal, change));
      return (await opened().getRun(id)) ?? assert.fail();
    },
    async claimed(change, holder = 'holder') {
      const id = await submitQueued(opened(), sampleRun(principal, change));
      return { id, token: leaseOf(await claimOne(opened(), id, holder)).token };
    },
    async get(id) {
      return (await opened().getRun(id)) ?? assert.fail(`no run ${id}`);
    },
  };
}

async function submitQueued(store: Store, run: NewRun): Promise<RunId> {
  await store.submitRun(run);
  await store.admitRun(run.id);
  return run.id;
}

function claim(store: Store, limit: number): Promise<readonly Run[]> {
  return store.claimRuns({ holder: 'holder', limit, now, leaseMs });
}

/** Claims until it gets this run. */
async function claimOne(store: Store, id: RunId, holder = 'holder'): Promise<Run> {
  for (;;) {
    const [run] = await store.claimRuns({ holder, limit: 1, now, leaseMs });
    if (!run) assert.fail(`the run ${id} cannot be claimed`);
    if (run.id === id) return run;
  }
}

function leaseOf(run: Run) {
  return 'lease' in run.status ? run.status.lease : assert.fail(`the run is ${run.status.state}`);
}

function submittedAt(run: Run): number {
  return run.submittedAt;
}
