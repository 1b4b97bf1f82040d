/** Where the driver keeps what, all of it recognisable by install, starter and sandbox name. */
import path from 'node:path';
import { SlipwayError } from '../../base/errors.ts';
import type { SandboxRef } from '../driver.ts';

/** Linux allows 107 bytes for the path of a socket; ours end in `/c/sw-<8>-<8>-<32>.sock`. */
const maxRuntimeDirBytes = 107 - 63;

export class Places {
  readonly install: string;
  readonly starter: string;
  readonly runtimeDir: string;
  readonly stateDir: string;

  /** @throws SlipwayError `runtime-dir-too-long`, `bad-install` */
  constructor(options: { install: string; starter: string; runtimeDir: string; stateDir: string }) {
    this.install = parseShortId(options.install);
    this.starter = parseShortId(options.starter);
    this.runtimeDir = path.resolve(options.runtimeDir);
    this.stateDir = path.resolve(options.stateDir);
    if (Buffer.byteLength(this.runtimeDir) > maxRuntimeDirBytes) throw tooLong(this.runtimeDir);
  }

  /** The runtime's own state (`--root`). */
  get runtimeRoot(): string {
    return path.join(this.runtimeDir, 'r');
  }

  /** One directory per sandbox: configuration, log, pid file, and the mount point of its /work. */
  get sandboxesDir(): string {
    return path.join(this.runtimeDir, 'sandboxes');
  }

  runDir(name: string): string {
    return path.join(this.sandboxesDir, name);
  }

  workDir(name: string): string {
    return path.join(this.runDir(name), 'work');
  }

  /** The tree of input files, below `diskDir`. */
  dataDir(name: string): string {
    return path.join(this.diskDir(name), 'data');
  }

  /** Source of /data where the inputs come after the start. */
  latePlace(name: string): string {
    return path.join(this.runDir(name), 'late');
  }

  /** On disk: input files and the image of a large /work. */
  diskDir(name: string): string {
    return path.join(this.stateDir, name);
  }

  get socketsDir(): string {
    return path.join(this.runtimeDir, 'c');
  }

  socketPath(name: string): string {
    return path.join(this.socketsDir, `${name}.sock`);
  }

  /** Where the connections out of a sandbox come to. */
  outletPath(name: string): string {
    return path.join(this.socketsDir, `${name}.out`);
  }

  /** Source of /data where nothing was supplied. */
  get emptyDir(): string {
    return path.join(this.runtimeDir, 'empty');
  }

  /** Mount points of the image views of one starter. */
  viewsDir(starter: string): string {
    return path.join(this.runtimeDir, 'views', starter);
  }

  /** Shifted copies of images, for hosts without idmapped mounts. */
  copiesDir(starter: string): string {
    return path.join(this.stateDir, `copies-${this.install}-${starter}`);
  }

  /** Source of every /dev of one starter. */
  devicesDir(starter: string): string {
    return path.join(this.runtimeDir, 'dev', starter);
  }

  /** A word on the command line of a starter's mount helper. */
  helperTag(starter: string): string {
    return `slipway-${this.install}-${starter}`;
  }

  /** The same in every hierarchy. */
  get installCgroup(): string {
    return `/slipway/${this.install}`;
  }

  cgroupPath(name: string): string {
    return `${this.installCgroup}/${name}`;
  }

  ref(id: string): SandboxRef {
    const { install, starter } = this;
    return { driver: 'oci', name: `sw-${install}-${starter}-${id}`, install, starter };
  }

  /** The reference of a name of this install, or undefined for any other text. */
  parseName(name: string): SandboxRef | undefined {
    const match = /^sw-([a-z0-9]{8})-([a-z0-9]{8})-[a-z0-9]{1,32}$/.exec(name);
    if (match === null || match[1] !== this.install || match[2] === undefined) return undefined;
    return { driver: 'oci', name, install: this.install, starter: match[2] };
  }

  /**
   * The reference as this install reads it.
   *
   * @throws SlipwayError `foreign-sandbox`
   */
  assertOwn(ref: SandboxRef): SandboxRef {
    const own = this.parseName(ref.name);
    if (own !== undefined) return own;
    throw new SlipwayError(
      'invalid-input',
      'foreign-sandbox',
      `${JSON.stringify(ref.name.slice(0, 100))} is not a sandbox of the install ${this.install}.`,
    );
  }
}

function parseShortId(value: string): string {
  if (/^[a-z0-9]{8}$/.test(value)) return value;
  throw new SlipwayError(
    'invalid-input',
    'bad-install',
    `The id ${JSON.stringify(value.slice(0, 40))} of an install or starter is not eight lower-case letters and digits.`,
  );
}

function tooLong(directory: string): SlipwayError {
  return new SlipwayError(
    'invalid-input',
    'runtime-dir-too-long',
    `The runtime directory ${directory} is longer than ${maxRuntimeDirBytes} bytes, so sockets in it could not be opened. Choose a shorter one.`,
  );
}
