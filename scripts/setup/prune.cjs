'use strict';
/** Removes staged copies that nobody needs: not the newest two, not those used of late or that a process runs from. */
const fs = require('node:fs');
const path = require('node:path');
const { manifestName } = require('./manifest.cjs');

const temporaryPrefix = '.making-';
const keptVersions = 2;
/** A service that is being restarted runs from nowhere for a moment. */
const restartMs = 3_600_000;

/** `current` is the version in use now; it becomes the newest. */
function prune(root, current) {
  const now = new Date();
  fs.utimesSync(path.join(root, current, manifestName), now, now);
  const names = fs.readdirSync(root);
  const used = namesInUse(root);
  const versions = names.filter(isVersion).sort((a, b) => usedAt(root, b) - usedAt(root, a));
  const isRecent = (name) => now - usedAt(root, name) < restartMs;
  const kept = versions.filter((name, i) => i < keptVersions || used.has(name) || isRecent(name));
  const deps = kept.map((name) => depsOf(root, name));
  for (const name of names) {
    if (kept.includes(name) || deps.includes(name) || used.has(name) || isBeingMade(name)) continue;
    if (isOurs(name)) fs.rmSync(path.join(root, name), { recursive: true, force: true });
  }
}

function isVersion(name) {
  return /^\d+\.\d+\.\d+.*-[0-9a-f]{12}$/.test(name);
}

function isOurs(name) {
  return isVersion(name) || /^deps-[0-9a-f]{12}$/.test(name) || name.startsWith(temporaryPrefix);
}

function isBeingMade(name) {
  if (!name.startsWith(temporaryPrefix)) return false;
  const pid = Number(name.slice(temporaryPrefix.length).split('-')[0]);
  return pid !== process.pid && fs.existsSync(`/proc/${pid}`);
}

function usedAt(root, name) {
  const stat = fs.statSync(path.join(root, name, manifestName), { throwIfNoEntry: false });
  return stat ? stat.mtimeMs : 0;
}

function depsOf(root, name) {
  try {
    return path.basename(path.dirname(fs.readlinkSync(path.join(root, name, 'node_modules'))));
  } catch {
    return undefined;
  }
}

/** The names below `root` that some process has as its program, its directory or an argument. */
function namesInUse(root) {
  const places = fs
    .readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap(placesOf);
  const inside = places.filter((place) => place.startsWith(`${root}/`));
  return new Set(inside.map((place) => place.slice(root.length + 1).split('/')[0]));
}

function placesOf(pid) {
  const links = ['exe', 'cwd'].map((name) => attempt(() => fs.readlinkSync(`/proc/${pid}/${name}`)));
  return [...links, ...attempt(() => fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8')).split('\0')];
}

/** Processes end while we look; what cannot be read is nothing. */
function attempt(read) {
  try {
    return read();
  } catch {
    return '';
  }
}

module.exports = { prune, temporaryPrefix };
