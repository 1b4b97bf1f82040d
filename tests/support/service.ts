/**
 * The whole service as a user starts it: `slipway up` of the staged program, in a process group of its own, on
 * directories, a port and a range of ids of its own. Tests stop it, kill either of its processes, and start it
 * again on the same state; disposing it fails the test if anything of it is left on this host. Needs root.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { z } from 'zod';
import { type Client, createClient } from '../../src/client/client.ts';
import { parseConfig } from '../../src/config/config.ts';
import { readEnvironment } from '../../src/config/env.ts';
import { imagesDir } from '../../src/config/images-dir.ts';
import { findFreePort } from './free-port.ts';
import { assertNothingLeft, type UidRange } from './leftovers.ts';
import { findProcesses, isAlive, killProcess, parentOf } from './processes.ts';
import { until } from './until.ts';

export interface ServiceOptions {
  /** More settings (`SLIPWAY_…`), or other values for ours. */
  readonly settings?: Readonly<Record<string, string>>;
  /** An existing directory for the state, which the caller removes; else a temporary one. */
  readonly stateDir?: string;
}

export type ServicePart = 'starter' | 'control-plane';

export interface ServiceProcess extends AsyncDisposable {
  /** The same after every restart, of the service or of its control plane, unless told otherwise. */
  readonly url: string;
  /** The admin token. */
  readonly token: string;
  readonly client: Client;
  readonly stateDir: string;
  /** The setting; the service keeps its things in a directory below it, named as the install. */
  readonly runtimeDir: string;
  readonly install: string;
  readonly starterPid: number;
  /** Everything that the service has written to stderr, over all restarts. */
  readonly log: string;
  /** What a command line (`slipway doctor`) needs to find this service's directories. */
  readonly env: Readonly<Record<string, string>>;
  /** Undefined while none runs. */
  controlPlanePid(): number | undefined;
  /** Asks it to stop and waits until all its processes have ended. @returns its exit status, or signal */
  stop(): Promise<number | string>;
  /** SIGKILL to one of the two processes; resolves when it is gone. */
  kill(part: ServicePart): Promise<void>;
  /** Starts it again, with some settings changed; it is stopped first if it runs. Resolves when it answers. */
  restart(settings?: Readonly<Record<string, string>>): Promise<void>;
  /** Resolves when the API answers. */
  answers(): Promise<void>;
  /** Resolves when no process of the service is left, as after a kill of the starter. */
  gone(): Promise<void>;
  /** Fails if the stopped service left anything on this host. */
  assertNothingLeft(): Promise<void>;
}

const checkout = path.join(import.meta.dirname, '..', '..');
/** Never reached by a service that works. */
const startDeadlineMs = 60_000;
const stopDeadlineMs = 60_000;

/** Starts the program; resolves when it says where it listens. */
export async function startServiceProcess(options: ServiceOptions = {}): Promise<ServiceProcess> {
  const service = await Service.create(options);
  try {
    await service.restart();
    return service;
  } catch (error) {
    await service[Symbol.asyncDispose]().catch(() => undefined); // the first error says more
    throw error;
  }
}

const announcementSchema = z.object({ url: z.string(), tokenFile: z.string() });

class Service implements ServiceProcess {
  readonly stateDir: string;
  readonly runtimeDir: string;
  env: Readonly<Record<string, string>>;
  readonly #uids: UidRange;
  readonly #removed: readonly string[];
  #child: ChildProcess | undefined;
  #announced: z.infer<typeof announcementSchema> | undefined;
  #token: string | undefined;
  #stdout = '';
  #log = '';

  private constructor(options: ServiceOptions, port: number) {
    this.stateDir = options.stateDir ?? mkdtempSync(path.join(tmpdir(), 'slipway-test-'));
    this.runtimeDir = mkdtempSync('/run/slipway-t-');
    chmodSync(this.runtimeDir, 0o711); // sandboxes find their image below it
    this.#removed = options.stateDir === undefined ? [this.stateDir, this.runtimeDir] : [this.runtimeDir];
    this.#uids = ownUids();
    this.env = {
      PATH: readEnvironment()['PATH'] ?? '',
      ...testMark(),
      SLIPWAY_STATE_DIR: this.stateDir,
      SLIPWAY_RUNTIME_DIR: this.runtimeDir,
      SLIPWAY_IMAGES_DIR: imagesDir(parseConfig(readEnvironment())),
      SLIPWAY_LISTEN: `127.0.0.1:${port}`,
      SLIPWAY_ID_BASE: String(this.#uids.first),
      SLIPWAY_ID_COUNT: String(this.#uids.count),
      SLIPWAY_LOG_LEVEL: 'warn',
      ...options.settings,
    };
  }

  static async create(options: ServiceOptions): Promise<Service> {
    return new Service(options, await findFreePort());
  }

  get url(): string {
    assert.ok(this.#announced, 'the service has not said where it listens');
    return this.#announced.url;
  }

  get token(): string {
    assert.ok(this.#announced, 'the service has not said where its token is');
    this.#token ??= readFileSync(this.#announced.tokenFile, 'utf8').trim();
    return this.#token;
  }

  get client(): Client {
    return createClient({ url: this.url, token: this.token });
  }

  get install(): string {
    return readFileSync(path.join(this.stateDir, 'install-id'), 'utf8').trim();
  }

  get starterPid(): number {
    assert.ok(this.#child?.pid, 'the service does not run');
    return this.#child.pid;
  }

  get log(): string {
    return this.#log;
  }

  controlPlanePid(): number | undefined {
    const starter = this.starterPid;
    const isOne = (pid: number, command: string) =>
      command.endsWith('\0control-plane\0') && parentOf(pid) === starter;
    return findProcesses(isOne)[0];
  }

  async restart(settings: Readonly<Record<string, string>> = {}): Promise<void> {
    if (this.#isRunning()) await this.stop();
    this.env = { ...this.env, ...settings };
    this.#stdout = '';
    this.#child = this.#spawn();
    const announced = await until('the service says where it listens', () => this.#announcement(), {
      deadlineMs: startDeadlineMs,
      onFailure: () => this.#log,
    });
    this.#announced = announced;
  }

  async answers(): Promise<void> {
    const answer = () =>
      fetch(`${this.url}/health`).then(
        (reply) => reply.ok,
        () => false,
      );
    await until('the API answers', answer, { deadlineMs: startDeadlineMs, onFailure: () => this.#log });
  }

  async stop(): Promise<number | string> {
    const child = this.#child;
    assert.ok(child, 'the service was never started');
    if (this.#isRunning()) child.kill('SIGTERM');
    await this.gone();
    return child.signalCode ?? child.exitCode ?? -1;
  }

  async kill(part: ServicePart): Promise<void> {
    const pid = part === 'starter' ? this.starterPid : this.controlPlanePid();
    if (pid === undefined) return; // it is between two lives
    killProcess(pid);
    const isGone = () => (part === 'starter' ? !this.#isRunning() : !isAlive(pid));
    await until(`the ${part} is gone`, isGone, { deadlineMs: stopDeadlineMs });
  }

  async gone(): Promise<void> {
    await until('all processes of the service have ended', () => this.#processes().length === 0, {
      deadlineMs: stopDeadlineMs,
      onFailure: () => `still there: ${this.#processes().join(', ')}\n${this.#log}`,
    });
    // Node tells of a child's end a little later than /proc does.
    await until('the end of the service is noticed', () => !this.#isRunning(), {
      deadlineMs: stopDeadlineMs,
    });
  }

  async assertNothingLeft(): Promise<void> {
    await assertNothingLeft({
      install: this.install,
      runtimeDir: path.join(this.runtimeDir, this.install),
      stateDir: path.join(this.stateDir, 'sandboxes'),
      uids: this.#uids,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      if (this.#child !== undefined) await this.stop();
      if (this.#announced !== undefined) await this.assertNothingLeft();
    } finally {
      for (const pid of this.#processes()) killProcess(pid);
      for (const directory of this.#removed) rmSync(directory, { recursive: true, force: true });
    }
  }

  #spawn(): ChildProcess {
    const home = readEnvironment()['STAGED_SLIPWAY'] ?? checkout; // from a checkout, `up` stages by itself
    const args = [path.join(home, 'bin', 'slipway.cjs'), 'up', '--json'];
    const child = spawn(process.execPath, args, {
      cwd: '/',
      env: this.env,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child.stdout.setEncoding('utf8').on('data', (text) => {
      this.#stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text) => {
      this.#log += text;
    });
    return child;
  }

  #announcement(): z.infer<typeof announcementSchema> | undefined {
    if (!this.#isRunning()) throw new Error(`The service ended instead of starting:\n${this.#log}`);
    if (!this.#stdout.trimEnd().endsWith('}')) return undefined;
    return announcementSchema.parse(JSON.parse(this.#stdout));
  }

  #isRunning(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Starter, control plane and helpers: whatever carries our directories in its environment or our group. */
  #processes(): number[] {
    const mark = `\0SLIPWAY_STATE_DIR=${this.stateDir}\0`;
    const group = this.#child?.pid;
    return findProcesses(
      (_pid, _command, about) => about.group === group || about.environment.includes(mark),
    );
  }
}

const idsOfSandbox = 65_536;
const sandboxesAtOnce = 64;

/** A range of ids that no other test has: below those of the contract suite. */
function ownUids(): UidRange {
  const count = sandboxesAtOnce * idsOfSandbox;
  return { first: 0x04000000 + Math.floor(Math.random() * 48) * count, count };
}

/** By this, the test script finds what a test leaves behind. */
function testMark(): Record<string, string> {
  const mark = readEnvironment()['TEST_MARK_OF_SLIPWAY'];
  return mark === undefined ? {} : { TEST_MARK_OF_SLIPWAY: mark };
}
