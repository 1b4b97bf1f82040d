/**
 * Mount operations of the host, done by one long-lived Perl process (`host-mounts.pl`, which says why). A
 * request is one line and so is its reply, in order; a helper that died is started again by the next request.
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { SlipwayError } from '../../../base/errors.ts';

const scriptPath = fileURLToPath(new URL('host-mounts.pl', import.meta.url));
const replyDeadlineMs = 60_000;

export interface TmpfsOptions {
  readonly sizeBytes: number;
  readonly inodes: number;
  /** Of the host. */
  readonly uid: number;
  readonly gid: number;
  /** As in `0700`. */
  readonly mode: string;
}

export interface IdRange {
  /** The first id of the host; the sandbox sees it as 0. */
  readonly base: number;
  readonly count: number;
}

interface Pending {
  readonly what: string;
  resolve(): void;
  reject(error: SlipwayError): void;
}

type Helper = ChildProcessByStdio<Writable, Readable, null>;

export class HostMounts implements AsyncDisposable {
  readonly #tag: string;
  #helper: Helper | undefined;
  #pending: Pending[] = [];
  #closed = false;

  /** @param tag a word on the helper's command line, by which it can be found when its starter has crashed */
  constructor(tag: string) {
    this.#tag = tag;
  }

  /** A tmpfs without set-id programs and devices; the target directory exists. */
  tmpfs(target: string, options: TmpfsOptions): Promise<void> {
    const { sizeBytes, inodes, uid, gid, mode } = options;
    return this.#request('tmpfs', [
      target,
      `size=${sizeBytes},nr_inodes=${inodes},uid=${uid},gid=${gid},mode=${mode}`,
    ]);
  }

  /** A read-only view in which the owners 0..count-1 of `source` appear as the range; set-id and devices off. */
  idmapped(source: string, target: string, range: IdRange): Promise<void> {
    return this.#request('idmap', [source, target, String(range.base), String(range.count)]);
  }

  /** @param flags of `ro`, `nosuid`, `nodev`, `noexec` */
  bind(source: string, target: string, flags: readonly string[]): Promise<void> {
    return this.#request('bind', [source, target, flags.join(',')]);
  }

  /** An empty read-only place: what `present` mounts on it later appears in sandboxes that have it in view. */
  sharedTmpfs(target: string): Promise<void> {
    return this.#request('sharedtmpfs', [target]);
  }

  /** Mounts a directory read-only, without set-id, devices and programs, on a place of `sharedTmpfs`. */
  present(source: string, target: string): Promise<void> {
    return this.#request('present', [source, target]);
  }

  /** Does nothing where nothing is mounted; detaches what is still in use. */
  unmount(target: string): Promise<void> {
    return this.#request('umount', [target]);
  }

  /** A character device, readable and writable for all. */
  device(path: string, major: number, minor: number): Promise<void> {
    return this.#request('device', [path, String(major), String(minor)]);
  }

  /** A tmpfs on which device nodes work, for the source of /dev alone. */
  deviceTmpfs(target: string): Promise<void> {
    return this.#request('devtmpfs', [target]);
  }

  /** Adds the range's base to every owner below `path`. */
  shiftOwners(path: string, range: IdRange): Promise<void> {
    return this.#request('shift', [path, String(range.base)]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    const helper = this.#helper;
    if (helper === undefined) return;
    const gone = new Promise((resolve) => helper.once('close', resolve));
    helper.stdin.end();
    await gone;
  }

  #request(name: string, fields: readonly string[]): Promise<void> {
    const words = fields.map((field) => Buffer.from(field).toString('hex') || '-');
    return new Promise((resolve, reject) => {
      const helper = this.#running();
      const timer = setTimeout(() => helper.kill('SIGKILL'), replyDeadlineMs);
      this.#pending.push({
        what: `${name} ${fields.join(' ')}`,
        resolve: () => {
          clearTimeout(timer);
          resolve();
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      });
      helper.stdin.write(`${[name, ...words].join(' ')}\n`);
    });
  }

  #running(): Helper {
    if (this.#closed) throw mountError('The driver was closed.', 'a request');
    if (this.#helper === undefined) this.#helper = this.#launch();
    return this.#helper;
  }

  #launch(): Helper {
    const helper = spawn('perl', [scriptPath, this.#tag], { stdio: ['pipe', 'pipe', 'inherit'] });
    helper.stdin.on('error', () => undefined); // 'close' reports it
    helper.once('error', (error) => this.#lose(helper, `Perl cannot be started: ${error.message}.`));
    helper.once('close', () => this.#lose(helper, 'The mount helper ended.'));
    createInterface({ input: helper.stdout }).on('line', (line) => this.#settle(line));
    return helper;
  }

  #settle(line: string): void {
    const request = this.#pending.shift();
    if (line === 'ok') request?.resolve();
    else
      request?.reject(
        mountError(
          Buffer.from(line.split(' ')[2] ?? '', 'hex')
            .toString()
            .trim(),
          request.what,
        ),
      );
  }

  #lose(helper: Helper, reason: string): void {
    if (this.#helper !== helper) return;
    this.#helper = undefined;
    const lost = this.#pending;
    this.#pending = [];
    for (const request of lost) request.reject(mountError(reason, request.what));
  }
}

function mountError(text: string, what: string): SlipwayError {
  return new SlipwayError(
    'internal',
    'mount-failed',
    `The host refused a mount operation (${text}). Run "slipway doctor" to see what this host allows.`,
    { details: { operation: what.slice(0, 500), error: text.slice(0, 500) } },
  );
}
