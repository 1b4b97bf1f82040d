/**
 * Debian's skopeo, which speaks the distribution protocol for us: as a child with a policy, registries and
 * credentials of ours, so that nothing of the operator's other container tools is read. It moves bytes; which
 * ones, and whether they are the right ones, is decided and checked here and in the store.
 */
import { spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Digest } from '../../base/digest.ts';
import { isSlipwayError, SlipwayError, systemCode } from '../../base/errors.ts';
import { formatDuration } from '../../base/units.ts';
import { type HostEnvironment, proxyEnvironment } from '../build/build-settings.ts';
import { isTransient, registryError } from './registry-error.ts';
import { isLocalRegistry, type RegistryReference, repositoryName } from './registry-reference.ts';

const hostPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const maxOutputBytes = 8 * 1024 * 1024;
const maxErrorBytes = 64 * 1024;
/** Waits between attempts: four in all. */
const retryDelaysMs = [300, 1000, 3000];

export interface SkopeoOptions {
  /** A directory of ours; what is downloaded lies in it, too. */
  readonly directory: string;
  readonly hostEnv: HostEnvironment;
  /** The content of an auth file; anonymous without. */
  readonly credentials?: string | undefined;
  /** How long everything together may take. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  readonly progress?: ((line: string) => void) | undefined;
}

interface Exit {
  readonly isGood: boolean;
  readonly stdout: Buffer;
  readonly stderr: string;
}

export class Skopeo {
  readonly #options: SkopeoOptions;
  readonly #deadline: AbortSignal;

  private constructor(options: SkopeoOptions) {
    this.#options = options;
    this.#deadline = AbortSignal.timeout(options.timeoutMs);
  }

  static async open(options: SkopeoOptions): Promise<Skopeo> {
    const at = (name: string) => join(options.directory, name);
    for (const name of ['registries.d', 'tmp', 'home']) await mkdir(at(name), { mode: 0o700 });
    await writeFile(at('policy.json'), '{"default":[{"type":"insecureAcceptAnything"}]}\n');
    await writeFile(at('registries.conf'), 'unqualified-search-registries = []\n');
    if (options.credentials !== undefined)
      await writeFile(at('auth.json'), options.credentials, { mode: 0o600 });
    return new Skopeo(options);
  }

  /** The bytes of a manifest or an index, by tag or digest. */
  manifest(reference: RegistryReference): Promise<Buffer> {
    return this.#run(reference, ['inspect', '--raw', ...this.#access(reference, ''), urlOf(reference)]);
  }

  /** The bytes of an image's config. */
  config(reference: RegistryReference): Promise<Buffer> {
    const options = ['--config', '--raw', ...this.#access(reference, '')];
    return this.#run(reference, ['inspect', ...options, urlOf(reference)]);
  }

  /**
   * Downloads an image into the OCI layout of that name in our directory. Blobs that lie there already are not
   * asked for; an attempt that breaks off leaves the blobs that it finished to the next one.
   */
  async download(reference: RegistryReference, layout: string, signal?: AbortSignal): Promise<void> {
    // Without the option uncompressed layers would be compressed, and their digests be others.
    const options = ['--quiet', '--dest-oci-accept-uncompressed-layers', ...this.#access(reference, 'src-')];
    await this.#run(reference, ['copy', ...options, urlOf(reference), `oci:${layout}:image`], signal);
  }

  /** Downloads an image as files named by their digests, and `manifest.json`; layers may be of any type. */
  async downloadFiles(reference: RegistryReference, name: string, signal?: AbortSignal): Promise<void> {
    const options = ['--quiet', '--preserve-digests', ...this.#access(reference, 'src-')];
    await this.#run(reference, ['copy', ...options, urlOf(reference), `dir:${name}`], signal);
  }

  /** Uploads the one image of a layout in our directory, unchanged; blobs that the registry has are left out. */
  async upload(layout: string, reference: RegistryReference): Promise<void> {
    const options = ['--quiet', '--preserve-digests', ...this.#access(reference, 'dest-')];
    await this.#run(reference, ['copy', ...options, `oci:${layout}`, urlOf(reference)]);
  }

  #access(reference: RegistryReference, side: Side): string[] {
    return accessOptions(reference, side, this.#options.credentials !== undefined);
  }

  async #run(reference: RegistryReference, args: readonly string[], signal?: AbortSignal): Promise<Buffer> {
    for (const wait of [...retryDelaysMs, undefined]) {
      try {
        return await this.#attempt(reference, args, signal);
      } catch (error) {
        if (wait === undefined || !isSlipwayError(error) || !isTransient(error)) throw error;
        this.#options.progress?.(`${error.message} Trying again.`);
        const stop = this.#signals(signal);
        await delay(wait, undefined, { signal: stop }).catch(() => {
          throw this.#stopped(reference);
        });
      }
    }
    throw new Error('unreachable');
  }

  async #attempt(
    reference: RegistryReference,
    args: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<Buffer> {
    const stop = this.#signals(signal);
    if (stop.aborted) throw this.#stopped(reference);
    // The last bound is for a child that outlives us.
    const bound = ['--command-timeout', `${Math.ceil(this.#options.timeoutMs / 1000)}s`];
    const config = [
      '--policy',
      'policy.json',
      '--registries.d',
      'registries.d',
      '--registries-conf',
      'registries.conf',
    ];
    const exit = await runChild([...bound, ...config, '--tmpdir', 'tmp', ...args], this.#child(stop));
    if (stop.aborted) throw this.#stopped(reference);
    if (!exit.isGood) throw registryError(reference, exit.stderr);
    return exit.stdout;
  }

  #signals(signal: AbortSignal | undefined): AbortSignal {
    const all = [this.#deadline, this.#options.signal, signal];
    return AbortSignal.any(all.filter((one) => one !== undefined));
  }

  #child(signal: AbortSignal): ChildOptions {
    const { directory, hostEnv } = this.#options;
    const own = {
      PATH: hostPath,
      HOME: join(directory, 'home'),
      LANG: 'C.UTF-8',
      TMPDIR: join(directory, 'tmp'),
    };
    const ca = hostEnv['SSL_CERT_FILE'];
    return {
      cwd: directory,
      env: { ...own, ...(ca ? { SSL_CERT_FILE: ca } : {}), ...proxyEnvironment(hostEnv) },
      signal,
    };
  }

  #stopped({ registry }: RegistryReference): SlipwayError {
    if (this.#deadline.aborted && !this.#options.signal?.aborted) {
      const limit = formatDuration(this.#options.timeoutMs);
      return new SlipwayError(
        'timeout',
        'registry-timeout',
        `The transfer with ${registry} did not end within ${limit}. Nothing of it was kept; give it more by --timeout.`,
      );
    }
    return new SlipwayError(
      'cancelled',
      'transfer-cancelled',
      `The transfer with ${registry} was cancelled.`,
    );
  }
}

type Side = '' | 'src-' | 'dest-';

/** Plain HTTP, and certificates of nobody, on this machine alone; credentials from our file or none. */
export function accessOptions(reference: RegistryReference, side: Side, hasCredentials: boolean): string[] {
  const tls = `--${side}tls-verify=${!isLocalRegistry(reference)}`;
  return [tls, ...(hasCredentials ? [`--${side}authfile`, 'auth.json'] : [`--${side}no-creds`])];
}

/** A digest of the same repository. */
export function pinned(reference: RegistryReference, digest: Digest): RegistryReference {
  return { ...reference, digest };
}

function urlOf(reference: RegistryReference): string {
  const { digest, tag } = reference;
  return `docker://${repositoryName(reference)}${digest === undefined ? `:${tag}` : `@${digest}`}`;
}

interface ChildOptions {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/** Resolves when the child and everything it started have ended. */
function runChild(args: readonly string[], { cwd, env, signal }: ChildOptions): Promise<Exit> {
  const { promise, resolve, reject } = Promise.withResolvers<Exit>();
  const child = spawn('skopeo', [...args], {
    cwd,
    env: { ...env },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const stop = () => endGroup(child.pid);
  signal.addEventListener('abort', stop, { once: true });
  const out: Buffer[] = [];
  let size = 0;
  child.stdout.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size > maxOutputBytes) stop();
    else out.push(chunk);
  });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    stderr = (stderr + chunk.toString()).slice(-maxErrorBytes);
  });
  child.once('error', (error) => reject(systemCode(error) === 'ENOENT' ? missing(error) : error));
  child.once('close', (code) => {
    resolve({ isGood: code === 0, stdout: Buffer.concat(out), stderr });
  });
  return promise.finally(() => signal.removeEventListener('abort', stop));
}

function endGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

function missing(cause: unknown): SlipwayError {
  return new SlipwayError(
    'unavailable',
    'program-missing',
    'This machine has no skopeo, which speaks with registries. As root, type: ' +
      'apt-get install --no-install-recommends skopeo',
    { cause },
  );
}
