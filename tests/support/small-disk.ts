/** A file system of a given size, to fill up or to make read-only. Needs root. */
import { execFileSync } from 'node:child_process';
import { closeSync, fstatSync, ftruncateSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { createTemporaryDirectory } from './temporary-directory.ts';

export interface SmallDisk extends Disposable {
  readonly path: string;
  /** Writes a file until there is no space left, or only so much. */
  fill(leaveBytes?: number): void;
  /** Removes that file. */
  free(): void;
  setReadOnly(readOnly: boolean): void;
}

export function createSmallDisk(sizeBytes: number): SmallDisk {
  const directory = createTemporaryDirectory();
  const { path } = directory;
  const ballast = join(path, 'ballast');
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeBytes},mode=0700`, 'slipway-test', path]);
  return {
    path,
    fill: (leaveBytes = 0) => fill(ballast, leaveBytes),
    free: () => rmSync(ballast, { force: true }),
    setReadOnly: (readOnly) => {
      execFileSync('mount', ['-o', `remount,${readOnly ? 'ro' : 'rw'}`, path]);
    },
    [Symbol.dispose]: () => {
      execFileSync('umount', ['--lazy', path]);
      directory[Symbol.dispose]();
    },
  };
}

function fill(ballast: string, leaveBytes: number): void {
  const file = openSync(ballast, 'a');
  try {
    for (;;) writeSync(file, Buffer.alloc(4096));
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
    ftruncateSync(file, Math.max(0, fstatSync(file).size - leaveBytes));
  } finally {
    closeSync(file);
  }
}
