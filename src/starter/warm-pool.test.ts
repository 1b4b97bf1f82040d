import assert from 'node:assert/strict';
import { duplexPair, PassThrough } from 'node:stream';
import { describe, it } from 'node:test';
import type { Clock } from '../base/clock.ts';
import { encodeJsonFrame } from '../base/frames.ts';
import { defaultImageUser, type Image } from '../model/image.ts';
import { defaultLimits, type Limits } from '../model/limits.ts';
import type { ExitStatus } from '../model/usage.ts';
import type { RuntimeDriver, Sandbox, SandboxSpec } from '../runtime/driver.ts';
import { WarmPool, type WarmPoolSettings } from './warm-pool.ts';

const mib = 1024 * 1024;
const image: Image = {
  digest: `sha256:${'a'.repeat(64)}`,
  names: ['test'],
  architecture: 'amd64',
  sizeBytes: 1,
  user: defaultImageUser,
  env: {},
  workdir: '/',
  entrypoint: [],
  cmd: [],
  labels: {},
  runner: { protocol: 1, argv: ['/runner'], preload: ['pandas'] },
  packages: [],
  notes: [],
  hasShell: false,
};

function spec(limits: Partial<Limits> = {}): SandboxSpec {
  return { id: 'wanted', image, use: { kind: 'runner' }, env: {}, limits: { ...defaultLimits, ...limits } };
}

/** A driver whose sandboxes are nothing but a channel on which somebody says *ready*. */
class ReadyDriver {
  readonly made: ReadySandbox[] = [];
  says: object = {
    type: 'ready',
    protocol: 1,
    runner: 'test',
    version: '1',
    language: 'none',
    languageVersion: '1',
    preloaded: [],
  };
  memoryBytes: number | null = 10 * mib;

  get living(): ReadySandbox[] {
    return this.made.filter((sandbox) => !sandbox.destroyed);
  }

  asDriver(): RuntimeDriver {
    return {
      name: 'oci',
      capabilities: { attach: false, lateSupply: true, runner: true, server: true, outlet: true },
      probe: () => assert.fail('not asked'),
      create: async (asked) => {
        const sandbox = new ReadySandbox(this, asked);
        this.made.push(sandbox);
        return sandbox;
      },
      attach: async () => undefined,
      list: () => assert.fail('not asked'),
      remove: async () => undefined,
      [Symbol.asyncDispose]: async () => undefined,
    };
  }
}

class ReadySandbox implements Sandbox {
  readonly spec: SandboxSpec;
  readonly ref;
  readonly stdin = new PassThrough();
  readonly #driver: ReadyDriver;
  readonly #ended = Promise.withResolvers<ExitStatus>();
  destroyed = false;

  constructor(driver: ReadyDriver, asked: SandboxSpec) {
    this.#driver = driver;
    this.spec = asked;
    this.ref = { driver: 'oci', name: `sw-x-y-${asked.id}`, install: 'x', starter: 'y' } as const;
  }

  die(): void {
    this.#ended.reject(new Error('it died'));
  }
  channel() {
    const [near, far] = duplexPair();
    far.write(encodeJsonFrame(this.#driver.says));
    return near;
  }
  async beginUsage() {
    return { memoryBytes: this.#driver.memoryBytes };
  }
  wait() {
    return this.#ended.promise;
  }
  async destroy() {
    this.destroyed = true;
  }
  async start() {}
  async stop() {}
  async supply() {}
  connect(): never {
    assert.fail('not asked');
  }
  logs(): never {
    assert.fail('not asked');
  }
  collect(): never {
    assert.fail('not asked');
  }
  [Symbol.asyncDispose]() {
    return this.destroy();
  }
}

class TestClock implements Clock {
  ms = 1_000_000;
  now = () => this.ms;
  elapsed = () => this.ms;
}

function stage(settings: Partial<WarmPoolSettings> = {}) {
  const driver = new ReadyDriver();
  const clock = new TestClock();
  const tended = new Set<string>();
  const failures: string[] = [];
  const pool = new WarmPool({
    driver: driver.asDriver(),
    clock,
    tended,
    settings: { maxPerKind: 4, memoryBytes: 1024 * mib, idleMs: 60_000, ...settings },
    onFailed: (reason) => failures.push(reason),
  });
  return { driver, clock, tended, failures, pool };
}

/** Lets everything happen that needs no time. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
}

describe('the warm pool', () => {
  it('has nothing for the first claim, and a ready sandbox for the next', async () => {
    const { pool, driver, tended } = stage();
    await using _ = pool;
    assert.equal(pool.claim(spec()), undefined);
    await settle();
    assert.equal(pool.idleCount, 1);
    const warm = pool.claim(spec());
    assert.equal(warm?.sandbox, driver.made[0]);
    assert.ok(tended.has(driver.made[0]?.spec.id ?? ''), 'it is tended until its claimer destroys it');
    assert.equal(driver.made[0]?.spec.lateInputs, true);
  });

  it('never gives out one sandbox twice', async () => {
    const { pool } = stage();
    await using _ = pool;
    const seen = new Set<object>();
    for (let claim = 0; claim < 40; claim++) {
      const warm = pool.claim(spec());
      if (warm !== undefined) {
        assert.ok(!seen.has(warm.sandbox));
        seen.add(warm.sandbox);
      }
      if (claim % 3 === 0) await settle();
    }
    assert.ok(seen.size > 10);
  });

  it('keeps images and limits apart', async () => {
    const { pool } = stage();
    await using _ = pool;
    pool.claim(spec());
    await settle();
    assert.equal(pool.claim(spec({ memoryBytes: 300 * mib })), undefined);
    assert.equal(
      pool.claim({ ...spec(), image: { ...image, digest: `sha256:${'b'.repeat(64)}` } }),
      undefined,
    );
    assert.notEqual(
      pool.claim(spec({ wallTimeMs: 5 })),
      undefined,
      'the starter limits time, not the sandbox',
    );
  });

  it('keeps as many as were claimed lately, up to its maximum', async () => {
    const { pool, clock } = stage({ maxPerKind: 3 });
    await using _ = pool;
    pool.claim(spec());
    await settle();
    assert.equal(pool.idleCount, 1);
    for (let claim = 0; claim < 10; claim++) pool.claim(spec());
    await settle();
    assert.equal(pool.idleCount, 3);
    clock.ms += 11_000; // the rush is over: one is enough
    pool.claim(spec());
    await settle();
    assert.equal(pool.idleCount, 2, 'what is there stays until it is idle for too long');
  });

  it('stays within its memory', async () => {
    const { pool, driver } = stage({ memoryBytes: 200 * mib });
    driver.memoryBytes = 60 * mib;
    await using _ = pool;
    for (let claim = 0; claim < 10; claim++) pool.claim(spec());
    await settle();
    assert.equal(pool.idleCount, 3);
  });

  it('drops a sandbox that ended by itself, and makes another', async () => {
    const { pool, driver } = stage();
    await using _ = pool;
    pool.claim(spec());
    await settle();
    driver.made[0]?.die();
    await settle();
    assert.equal(driver.made[0]?.destroyed, true);
    pool.claim(spec());
    assert.notEqual(pool.claim(spec())?.sandbox, driver.made[0]);
  });

  it('leaves alone for a while what cannot be made ready, and says why', async () => {
    const { pool, driver, failures, clock, tended } = stage();
    await using _ = pool;
    driver.says = { type: 'refused', reason: 'not today' };
    pool.claim(spec());
    await settle();
    pool.claim(spec());
    await settle();
    assert.equal(driver.made.length, 1);
    assert.equal(driver.living.length, 0);
    assert.equal(tended.size, 0);
    assert.match(failures.join(), /refused/);
    clock.ms += 31_000;
    pool.claim(spec());
    await settle();
    assert.equal(driver.made.length, 2);
  });

  it('preloads what is asked for, where there is memory for it', async () => {
    const { pool, driver } = stage();
    await using _ = pool;
    pool.claim(spec(), ['pandas']);
    pool.claim(spec(), []);
    pool.claim(spec({ memoryBytes: 64 * mib }), ['pandas']);
    await settle();
    assert.deepEqual(
      driver.made.map(({ spec: { env } }) => env['SLIPWAY_PRELOAD']),
      ['pandas', undefined, undefined],
    );
    assert.equal(pool.claim(spec(), ['pandas'])?.sandbox, driver.made[0]);
    assert.equal(pool.claim(spec(), [])?.sandbox, driver.made[1]);
  });

  it('destroys what nobody claims for the idle time', async (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] });
    const { pool, driver, clock, tended } = stage({ idleMs: 60_000 });
    await using _ = pool;
    pool.claim(spec());
    await settle();
    clock.ms += 59_000;
    t.mock.timers.tick(1000);
    await settle();
    assert.equal(driver.living.length, 1);
    clock.ms += 2000;
    t.mock.timers.tick(1000);
    await settle();
    assert.equal(driver.living.length, 0);
    assert.equal(tended.size, 0);
    assert.equal(driver.made.length, 1, 'and it is not replaced');
  });

  it('does nothing when it is switched off', async () => {
    const { pool, driver } = stage({ maxPerKind: 0 });
    await using _ = pool;
    pool.claim(spec());
    await settle();
    assert.equal(driver.made.length, 0);
  });

  it('destroys everything that is idle when it is disposed, and what is still being started', async () => {
    const { pool, driver, tended } = stage();
    pool.claim(spec());
    await settle();
    pool.claim(spec());
    await pool[Symbol.asyncDispose]();
    assert.equal(driver.living.length, 1, 'the claimed one is its claimer’s');
    assert.equal(pool.claim(spec()), undefined);
    assert.equal(tended.size, 1);
  });
});
