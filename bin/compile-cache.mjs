/**
 * Node's compile cache (types stripped, code compiled): with it a command starts in a third of the time. In plain
 * JavaScript, so that nothing at all must be stripped once the cache is filled. Whoever can write the cache decides
 * what we execute: it lies where only we can, or there is none. Loaded by preload.mjs.
 */
import { existsSync, lstatSync, mkdirSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { userInfo } from 'node:os';
import path from 'node:path';

/** Turns the cache on for what is loaded from now on, where that is safe; never throws. */
export function useCompileCache(directory = cacheDirectory()) {
  try {
    // Staged copies come and go under ever new names; what is cached for them would stay.
    if (existsSync(path.join(import.meta.dirname, '..', '.staged.json'))) return;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    if (isOurs(directory)) enableCompileCache(directory);
  } catch {
    // Without a cache everything works, only later.
  }
}

function cacheDirectory() {
  const { uid, homedir } = userInfo();
  return uid === 0 ? '/var/cache/slipway' : path.join(homedir, '.cache', 'slipway');
}

/** Whether a directory is one, and nobody else may change what is in it. */
export function isOurs(directory) {
  const stats = lstatSync(directory);
  return stats.isDirectory() && stats.uid === process.geteuid() && (stats.mode & 0o022) === 0;
}
