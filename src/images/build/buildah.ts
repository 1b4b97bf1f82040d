/**
 * Debian's buildah, with a storage, registries and policy of our own, so that nothing of the operator's
 * other container tools is read or changed. It is only the kitchen: what it makes is served from the image
 * store.
 */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { lockFile } from '../lock-file.ts';
import { namesIn } from '../store-files.ts';
import { type HostEnvironment, prepareBuildSettings, proxyEnvironment } from './build-settings.ts';
import { runHostCommand } from './host-command.ts';

const hostPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export interface BuildOutput {
  readonly progress?: ((line: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export class Buildah {
  readonly #directory: string;
  readonly #host: HostEnvironment;

  private constructor(directory: string, host: HostEnvironment) {
    this.#directory = directory;
    this.#host = host;
  }

  /** @param storeRoot the image store's; the kitchen lies beside it */
  static async open(storeRoot: string, host: HostEnvironment): Promise<Buildah> {
    const buildah = new Buildah(join(dirname(storeRoot), 'build'), host);
    await buildah.#configure();
    return buildah;
  }

  async #configure(): Promise<void> {
    await mkdir(this.#at('tmp'), { recursive: true, mode: 0o700 });
    await writeFile(this.#at('registries.conf'), 'unqualified-search-registries = ["docker.io"]\n');
    await writeFile(this.#at('policy.json'), '{"default":[{"type":"insecureAcceptAnything"}]}\n');
    await writeFile(this.#at('containers.conf'), '[engine]\ncgroup_manager = "cgroupfs"\n');
  }

  #at(name: string): string {
    return join(this.#directory, name);
  }

  get env(): Record<string, string> {
    return {
      PATH: hostPath,
      HOME: '/root',
      LANG: 'C.UTF-8',
      TMPDIR: this.#at('tmp'),
      CONTAINERS_CONF: this.#at('containers.conf'),
      CONTAINERS_REGISTRIES_CONF: this.#at('registries.conf'),
      ...proxyEnvironment(this.#host),
    };
  }

  async run(args: readonly string[], output: BuildOutput & { cwd?: string } = {}): Promise<string> {
    const storage = [
      '--root',
      this.#at('storage'),
      '--runroot',
      this.#at('run'),
      '--storage-driver',
      'overlay',
    ];
    return runHostCommand({ program: 'buildah', args: [...storage, ...args], env: this.env, ...output });
  }

  /** Brings in an OCI layout under a name. */
  async load(layout: string, name: string): Promise<void> {
    const policy = ['--signature-policy', this.#at('policy.json')];
    // buildah makes an image name of the path as it is written, and names have no capitals.
    const [cwd, path] = [dirname(layout), basename(layout)];
    const id = await this.run(['pull', '--quiet', ...policy, `oci:${path}`], { cwd });
    await this.run(['tag', id.trim().split('\n').at(-1) ?? '', name]);
  }

  /** Builds a Dockerfile whose bases are all in the storage. */
  async build(
    { contextDir, dockerfile, name, labels }: BuildRequest,
    { progress, signal }: BuildOutput,
  ): Promise<void> {
    const runtime = await this.#prepareRuntime();
    const args = ['--signature-policy', this.#at('policy.json'), '--isolation', 'oci', '--runtime', runtime];
    const options = [
      '--network',
      'host',
      '--pull-never',
      '--layers=false',
      '--file',
      dockerfile,
      '--tag',
      name,
    ];
    const labelArgs = Object.entries(labels).flatMap(([key, value]) => ['--label', `${key}=${value}`]);
    await this.run(['bud', ...args, ...options, ...labelArgs, contextDir], { progress, signal });
  }

  /** A step outlives a buildah that was killed; its runtime, whose state is our own, still knows it. */
  async #endSteps(): Promise<void> {
    const state = ['--root', this.#at('runc')];
    for (const id of await namesIn(this.#at('runc'))) {
      await runHostCommand({ program: 'runc', args: [...state, 'delete', '--force', id], env: this.env });
    }
  }

  async exportLayout(name: string, layout: string): Promise<void> {
    await this.run(['push', '--quiet', '--signature-policy', this.#at('policy.json'), name, `oci:${layout}`]);
  }

  /** One build at a time: afterwards what a killed build left behind can be removed without asking. */
  async lock({ progress, signal }: BuildOutput): Promise<AsyncDisposable> {
    const lock = await lockFile(this.#at('lock'), {
      onWait: () => progress?.('waiting for another build'),
      signal,
    });
    await this.clean();
    return lock;
  }

  /** Removes working containers and images; the store has what is worth keeping. */
  async clean(): Promise<void> {
    await this.#endSteps();
    await this.run(['rm', '--all']);
    await this.run(['rmi', '--all', '--force']);
  }

  /** The wrapper as a program: buildah calls it for every step, only `create` needs Node. */
  async #prepareRuntime(): Promise<string> {
    await rm(this.#at('settings'), { recursive: true, force: true });
    const settings = await prepareBuildSettings(this.#at('settings'), this.#host);
    await writeFile(this.#at('settings.json'), JSON.stringify(settings));
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
    const wrapper = fileURLToPath(new URL(`./runtime-wrapper.${extension}`, import.meta.url));
    const script = [
      '#!/bin/sh',
      'set -e',
      'previous= bundle=',
      'for argument; do',
      '  [ "$previous" = --bundle ] && bundle=$argument',
      '  previous=$argument',
      'done',
      `[ -z "$bundle" ] || ${quoted(process.execPath)} ${quoted(wrapper)} ${quoted(this.#at('settings.json'))} "$bundle"`,
      `exec runc --root ${quoted(this.#at('runc'))} "$@"`,
      '',
    ];
    const path = this.#at('runtime');
    await writeFile(path, script.join('\n'), { mode: 0o700 });
    return path;
  }
}

export interface BuildRequest {
  readonly contextDir: string;
  /** Absolute. */
  readonly dockerfile: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
