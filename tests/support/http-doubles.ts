/**
 * Scripted doubles for tests of the HTTP edge alone: runs that do what the test says, blobs in memory. The real
 * engine, store and starter are behind the same routes in tests/e2e/.
 */

import type { Digest } from '../../src/base/digest.ts';
import { digestOf } from '../../src/base/digest.ts';
import { SlipwayError } from '../../src/base/errors.ts';
import { createId } from '../../src/base/ids.ts';
import type { RunService, Submission } from '../../src/http/services.ts';
import { hashToken } from '../../src/http/token.ts';
import type { Image } from '../../src/model/image.ts';
import { defaultImageUser } from '../../src/model/image.ts';
import type { LogRecord } from '../../src/model/output-log.ts';
import type { Principal, Role, Token } from '../../src/model/principal.ts';
import type { Run, RunId, RunResult } from '../../src/model/run.ts';
import { isFinished } from '../../src/model/run.ts';
import type { Usage } from '../../src/model/usage.ts';
import type { FollowOptions, RunUpdate } from '../../src/runs/follow-run.ts';
import type { Probe } from '../../src/runtime/driver.ts';
import type { Starter } from '../../src/starter/starter.ts';
import type { Blobs } from '../../src/store/blobs.ts';
import type { OwnedToken, RunPage, RunQuery, TokenRevocation } from '../../src/store/store.ts';

export const usage: Usage = {
  wallMs: 1200,
  cpuMs: 800,
  cpuUserMs: 700,
  cpuSystemMs: 100,
  memoryPeakBytes: 85_000_000,
  pidsPeak: 3,
  readBytes: null,
  writtenBytes: null,
  oomKills: 0,
};

/** Runs that stay queued until the test finishes them. */
export class ScriptedRuns implements RunService {
  readonly runs = new Map<RunId, Run>();
  readonly logs = new Map<RunId, LogRecord[]>();
  readonly #waiting = new Set<() => void>();
  #clock = 1_700_000_000_000;

  async submit(submission: Submission): Promise<Run> {
    this.#clock += 1000;
    const id = createId('run', this.#clock);
    const run: Run = {
      ...submission,
      id,
      submittedAt: this.#clock,
      attempts: 0,
      cancelRequested: false,
      status: { state: 'queued' },
    };
    this.runs.set(id, run);
    return run;
  }

  async get(id: RunId): Promise<Run | undefined> {
    return this.runs.get(id);
  }

  async list(query: RunQuery): Promise<RunPage> {
    const visible = [...this.runs.values()].filter(
      (run) =>
        run.namespace === query.namespace &&
        (query.principal === undefined || run.principal === query.principal) &&
        (query.states === undefined || query.states.includes(run.status.state)) &&
        (query.before === undefined || run.id < query.before),
    );
    const newest = visible.sort((a, b) => (a.id < b.id ? 1 : -1));
    const runs = newest.slice(0, query.limit);
    const last = runs.at(-1);
    return newest.length > runs.length && last !== undefined ? { runs, next: last.id } : { runs };
  }

  async cancel(id: RunId, reason: string): Promise<Run> {
    const run = this.#known(id);
    if (isFinished(run.status)) return run;
    return this.finish(id, { outcome: { kind: 'cancelled', reason } });
  }

  async waitFor(id: RunId, signal: AbortSignal): Promise<Run> {
    while (!isFinished(this.#known(id).status) && !signal.aborted) await this.#change(signal);
    return this.#known(id);
  }

  async *readLog(
    id: RunId,
    { follow, signal }: { follow: boolean; signal: AbortSignal },
  ): AsyncGenerator<LogRecord> {
    for (let at = 0; !signal.aborted; ) {
      const record = (this.logs.get(id) ?? [])[at];
      if (record !== undefined) {
        at++;
        yield record;
      } else if (follow && !isFinished(this.#known(id).status)) {
        await this.#change(signal);
      } else return;
    }
  }

  async *follow(id: RunId, { after, signal }: FollowOptions): AsyncGenerator<RunUpdate> {
    let { position, state } = after;
    while (!signal.aborted) {
      const run = this.#known(id);
      if (run.status.state !== state && !isFinished(run.status)) {
        state = run.status.state;
        yield { kind: 'state', run, place: { position, state } };
      }
      for (const record of (this.logs.get(id) ?? []).slice(position)) {
        position++; // here, a record counts as one
        yield { kind: 'record', record, place: { position, state } };
      }
      if (isFinished(run.status)) {
        yield { kind: 'state', run, place: { position, state: run.status.state } };
        return;
      }
      if (this.#known(id) === run && (this.logs.get(id) ?? []).length <= position) await this.#change(signal);
    }
  }

  write(id: RunId, record: LogRecord): void {
    this.logs.set(id, [...(this.logs.get(id) ?? []), record]);
    this.#changed();
  }

  finish(id: RunId, result: Partial<RunResult> & Pick<RunResult, 'outcome'>): Run {
    const whole: RunResult = {
      finishedAt: this.#clock + 500,
      usage,
      log: this.logs.has(id) ? digestOf('log') : null,
      files: [],
      skipped: [],
      ...result,
    };
    const status = { state: result.outcome.kind, startedAt: this.#clock, result: whole };
    const run: Run = { ...this.#known(id), status };
    this.runs.set(id, run);
    this.#changed();
    return run;
  }

  /** How many callers wait or follow. */
  get followers(): number {
    return this.#waiting.size;
  }

  /** Resolves once so many callers wait or follow. */
  async waiters(count: number): Promise<void> {
    while (this.#waiting.size < count) await new Promise((resolve) => setImmediate(resolve));
  }

  #known(id: RunId): Run {
    const run = this.runs.get(id);
    if (run === undefined) throw new Error(`the double has no run ${id}`);
    return run;
  }

  #changed(): void {
    for (const wake of this.#waiting) wake();
  }

  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#waiting.delete(wake);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal.addEventListener('abort', wake);
    });
  }
}

/** Blobs in memory. */
export class MemoryBlobs implements Blobs {
  readonly contents = new Map<Digest, Buffer>();

  async put(content: AsyncIterable<Uint8Array>, limits: { maxBytes: number; expected?: Digest }) {
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of content) {
      size += chunk.length;
      if (size > limits.maxBytes)
        throw new SlipwayError('too-large', 'blob-too-large', 'The blob is too large.');
      chunks.push(chunk);
    }
    const bytes = Buffer.concat(chunks);
    const digest = digestOf(bytes);
    if (limits.expected !== undefined && limits.expected !== digest) {
      throw new SlipwayError('invalid-input', 'digest-mismatch', 'The content has another digest.');
    }
    this.contents.set(digest, bytes);
    return { digest, sizeBytes: bytes.length };
  }

  async size(digest: Digest): Promise<number | undefined> {
    return this.contents.get(digest)?.length;
  }

  async *get(digest: Digest): AsyncGenerator<Uint8Array> {
    const bytes = this.contents.get(digest);
    if (bytes === undefined) throw new SlipwayError('not-found', 'blob-not-found', 'There is no such blob.');
    yield bytes;
  }

  async delete(digest: Digest): Promise<void> {
    this.contents.delete(digest);
  }
}

export const pythonImage: Image = {
  digest: digestOf('python image'),
  names: ['python'],
  architecture: 'amd64',
  sizeBytes: 500_000_000,
  user: defaultImageUser,
  env: {},
  workdir: '/work',
  entrypoint: [],
  cmd: ['python3'],
  labels: {},
  runner: { protocol: 1, argv: ['/usr/bin/python3'], preload: [] },
  packages: [{ name: 'pandas', version: '1.5.3', source: 'debian' }],
  notes: [],
  hasShell: true,
};

const { runner: _runner, ...withoutRunner } = pythonImage;
export const bareImage: Image = { ...withoutRunner, digest: digestOf('bare image'), names: ['bare'] };

export const usableProbe: Probe = {
  driver: 'oci',
  usable: true,
  problems: [],
  runtime: { name: 'runc', version: '1.1.5' },
  controls: [{ name: 'seccomp', state: 'on', detail: 'an allow-list of our own' }],
  measures: ['wallMs'],
};

/** The part of a starter that needs no sandbox. */
export class ScriptedStarter implements Pick<Starter, 'probe' | 'listImages' | 'resolveImage'> {
  result: Probe = usableProbe;
  readonly images: readonly Image[] = [pythonImage, bareImage];

  async probe(): Promise<Probe> {
    return this.result;
  }

  async listImages(): Promise<readonly Image[]> {
    return this.images;
  }

  async resolveImage(reference: string): Promise<Image> {
    const image = this.images.find(({ names, digest }) => names.includes(reference) || digest === reference);
    if (image !== undefined) return image;
    throw new SlipwayError('not-found', 'image-not-found', `There is no image ${JSON.stringify(reference)}.`);
  }
}

/** Principals and tokens in memory, as a store keeps them. */
export class ScriptedTokens {
  readonly #principals: Principal[] = [];
  readonly #tokens: Token[] = [];
  readonly problems: Error[] = [];

  add(secret: string, name: string, role: Role, namespace = 'default'): Principal {
    const principal: Principal = { id: createId('principal', 0), namespace, name, role, createdAt: 0 };
    this.#principals.push(principal);
    const hash = hashToken(secret);
    const id = createId('token', 0);
    this.#tokens.push({ id, principal: principal.id, hash, createdAt: 0, revokedAt: null });
    return principal;
  }

  async findByTokenHash(hash: string): Promise<OwnedToken | undefined> {
    return this.#owned().find(({ token }) => token.hash === hash && token.revokedAt === null);
  }

  async findPrincipal({ namespace, name }: { namespace: string; name: string }) {
    return this.#principals.find((known) => known.namespace === namespace && known.name === name);
  }

  async createPrincipal(principal: Principal): Promise<void> {
    this.#principals.push(principal);
  }

  async createToken(token: Token): Promise<void> {
    this.#tokens.push(token);
  }

  async listTokens({ namespace }: { namespace: string }): Promise<OwnedToken[]> {
    return this.#owned().filter(({ principal }) => principal.namespace === namespace);
  }

  async revokeToken({ namespace, id, at }: TokenRevocation): Promise<OwnedToken> {
    const found = (await this.listTokens({ namespace })).find(({ token }) => token.id === id);
    if (!found) throw new SlipwayError('not-found', 'token-not-found', `There is no token ${id}.`);
    const revoked = { ...found.token, revokedAt: found.token.revokedAt ?? at };
    this.#tokens.splice(this.#tokens.indexOf(found.token), 1, revoked);
    return { ...found, token: revoked };
  }

  async check(): Promise<void> {
    const problem = this.problems[0];
    if (problem !== undefined) throw problem;
  }

  #owned(): OwnedToken[] {
    return this.#tokens.flatMap((token) =>
      this.#principals.filter(({ id }) => id === token.principal).map((principal) => ({ token, principal })),
    );
  }
}
