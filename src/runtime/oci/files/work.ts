/**
 * The file system behind /work: a tmpfs of the host, whose pages count as memory of the sandbox, or above a
 * threshold a loop-mounted ext4 image on disk. Both limit bytes and inodes, and both stay readable from
 * outside after everything inside is dead.
 */
import { execFile } from 'node:child_process';
import { mkdir, open, rmdir } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { messageOf, SlipwayError } from '../../../base/errors.ts';
import type { ImageUser } from '../../../model/image.ts';
import type { Limits } from '../../../model/limits.ts';
import type { HostMounts, IdRange } from '../host/host-mounts.ts';

const run = promisify(execFile);
const toolDeadlineMs = 60_000;

export interface WorkOptions {
  readonly limits: Limits;
  readonly user: ImageUser;
  readonly range: IdRange;
  /** Existing directory to mount it on. */
  readonly target: string;
  /** Directory on disk for the image; made when needed. */
  readonly diskDir: string;
  readonly loopThresholdBytes: number;
}

/** Mounts an empty /work that belongs to the sandbox's user. */
export async function mountWork(mounts: HostMounts, options: WorkOptions): Promise<void> {
  const { limits, target } = options;
  if (limits.workBytes > options.loopThresholdBytes) return mountImage(options);
  await mounts.tmpfs(target, {
    sizeBytes: limits.workBytes,
    inodes: limits.workInodes,
    uid: options.range.base + options.user.uid,
    gid: options.range.base + options.user.gid,
    mode: '0700',
  });
}

async function mountImage(options: WorkOptions): Promise<void> {
  const { limits, user, range, target } = options;
  await mkdir(options.diskDir, { recursive: true, mode: 0o700 });
  const image = path.join(options.diskDir, 'work.ext4');
  await makeSparseFile(image, limits.workBytes);
  const owner = `root_owner=${range.base + user.uid}:${range.base + user.gid}`;
  // No journal: the file system lives no longer than the sandbox. 11 inodes are ext4's own.
  await tool('mkfs.ext4', [
    ...['-q', '-F', '-b', '4096', '-m', '0', '-O', '^has_journal', '-N', String(limits.workInodes + 11)],
    ...['-E', `lazy_itable_init=1,nodiscard,${owner}`, image],
  ]);
  await tool('mount', ['-t', 'ext4', '-o', 'loop,nosuid,nodev', image, target]);
  await rmdir(path.join(target, 'lost+found'));
  await chmodPrivate(target);
}

async function makeSparseFile(file: string, sizeBytes: number): Promise<void> {
  await using handle = await open(file, 'wx', 0o600);
  await handle.truncate(sizeBytes);
}

async function chmodPrivate(directory: string): Promise<void> {
  await using handle = await open(directory);
  await handle.chmod(0o700);
}

async function tool(program: string, words: readonly string[]): Promise<void> {
  try {
    await run(program, words, { timeout: toolDeadlineMs, killSignal: 'SIGKILL' });
  } catch (cause) {
    throw new SlipwayError(
      'internal',
      'work-failed',
      `The work directory could not be made: ${messageOf(cause).slice(0, 500)}. Is there space left, and are e2fsprogs and mount installed?`,
      { cause },
    );
  }
}
