/**
 * Where hostile programs run: a real driver, and after each program the proof that this host is unharmed. A
 * program is a file of programs/, run inside by `attack` and, as its own control, outside by programs.ts.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { after, before } from 'node:test';
import type { Sandbox } from '../../src/runtime/driver.ts';
import type { DriverUnderTest } from '../contract/driver/subject.ts';
import { createOciUnderTest } from '../contract/oci-under-test.ts';
import { assertNothingLeft } from '../support/leftovers.ts';
import { inputs, type Order, type Outcome, patience, runSandbox, specOf } from '../support/run-sandbox.ts';
import { inside, programFiles } from './programs.ts';

export interface Stage {
  /** Runs a program to its end. */
  run(program: string, args?: readonly string[], order?: Partial<Order>): Promise<Outcome>;
  /** Runs a hostile program to its end; then the host must be as before. */
  attack(program: string, args?: readonly string[], order?: Partial<Order>): Promise<Outcome>;
  /** Starts one that ends only by `stop` or `destroy`. */
  launch(program: string, args?: readonly string[], order?: Partial<Order>): Promise<Sandbox>;
  /** A harmless run succeeds, no trace of any sandbox is left, and this host's settings are as they were. */
  assertUnharmed(): Promise<void>;
  /** A harmless run succeeds. */
  canary(): Promise<void>;
  subject(): DriverUnderTest;
}

/** Registers making and closing of the driver for the tests of a file. */
export function createStage(): Stage {
  let made: DriverUnderTest | undefined;
  let settings = '';
  const subject = (): DriverUnderTest => {
    if (made === undefined) throw new Error('The driver is made in `before`.');
    return made;
  };
  before(async () => {
    made = await createOciUnderTest();
    settings = hostSettings();
  });
  after(() => made?.[Symbol.asyncDispose]());

  const orderOf = (program: string, args: readonly string[], order: Partial<Order>): Order => ({
    image: subject().image,
    argv: inside(program, ...args),
    files: programFiles,
    ...order,
  });
  const canary = async () => {
    const { driver, image } = subject();
    const { stdout } = await runSandbox(driver, { image, argv: ['echo', 'sings'] });
    assert.equal(stdout.toString(), 'sings\n');
  };
  const assertUnharmed = async () => {
    await canary();
    await assertNothingLeft(subject().scope);
    assert.equal(hostSettings(), settings);
  };
  const run = (program: string, args: readonly string[] = [], order: Partial<Order> = {}) =>
    runSandbox(subject().driver, orderOf(program, args, order));
  return {
    subject,
    canary,
    assertUnharmed,
    run,
    attack: async (program, args, order) => {
      const outcome = await run(program, args, order);
      await assertUnharmed();
      return outcome;
    },
    launch: (program, args = [], order = {}) => launch(subject(), orderOf(program, args, order)),
  };
}

async function launch({ driver }: DriverUnderTest, order: Order): Promise<Sandbox> {
  const sandbox = await driver.create(specOf({ streams: 'merged', ...order }), patience());
  await sandbox.supply(inputs(order.files ?? {}), patience());
  await sandbox.start(patience());
  return sandbox;
}

const watched = [
  ...['kernel/core_pattern', 'kernel/hostname', 'kernel/domainname', 'kernel/randomize_va_space'],
  ...['kernel/pid_max', 'kernel/threads-max', 'vm/overcommit_memory', 'vm/max_map_count', 'fs/file-max'],
  ...['fs/suid_dumpable', 'fs/protected_symlinks', 'net/ipv4/ip_forward', 'user/max_user_namespaces'],
];

const precious = ['/etc/passwd', '/etc/hosts', '/etc/resolv.conf', '/usr/sbin/runc'];

/** What a sandbox that got out would change first. */
function hostSettings(): string {
  const values = watched.map((name) => `${name}=${readOr(`/proc/sys/${name}`).toString().trim()}`);
  const digests = precious.map(
    (path) => `${path}=${createHash('sha256').update(readOr(path)).digest('hex')}`,
  );
  return [hostname(), ...values, ...digests].join('\n');
}

function readOr(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch {
    return Buffer.from('absent');
  }
}
