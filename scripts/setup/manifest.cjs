'use strict';
/** The manifest of a staged directory: what lay in it when it was made, to notice when that changes. */
const fs = require('node:fs');
const path = require('node:path');
const { createHash } = require('node:crypto');

const manifestName = '.staged.json';

/** Writes down every file of `directory`: type, mode, owner, size, time and content. */
function writeManifest(directory) {
  const entries = describe(directory, true);
  const file = path.join(directory, manifestName);
  fs.writeFileSync(file, JSON.stringify({ entries }));
  fs.chmodSync(file, 0o644);
}

/** Whether `directory` is as its manifest says; with `verify`, contents are read and compared too. */
function isWhole(directory, verify = false) {
  let entries;
  try {
    entries = JSON.parse(fs.readFileSync(path.join(directory, manifestName), 'utf8')).entries;
  } catch {
    return false;
  }
  const found = describe(directory, verify);
  return found.length === entries.length && found.every((entry, i) => isSame(entry, entries[i]));
}

function isSame(found, wanted) {
  return Object.keys(found).every((key) => found[key] === wanted[key]);
}

/** One entry per file, directory and link, in a fixed order. */
function describe(directory, withContent) {
  return [...walk(directory, '')].map((at) => {
    const full = path.join(directory, at);
    const stat = fs.lstatSync(full);
    const entry = { path: at, mode: stat.mode, uid: stat.uid };
    if (stat.isSymbolicLink()) return { ...entry, link: fs.readlinkSync(full) };
    if (!stat.isFile()) return entry;
    const measured = { ...entry, size: stat.size, mtimeMs: stat.mtimeMs };
    return withContent ? { ...measured, sha256: digest(full) } : measured;
  });
}

function* walk(base, at) {
  for (const entry of fs.readdirSync(path.join(base, at), { withFileTypes: true }).sort(byName)) {
    const inside = path.join(at, entry.name);
    if (inside === manifestName) continue;
    yield inside;
    if (entry.isDirectory()) yield* walk(base, inside);
  }
}

function byName(a, b) {
  return a.name < b.name ? -1 : 1;
}

function digest(file) {
  return createHash('sha256').update(fs.readFileSync(file)).digest('hex');
}

module.exports = { manifestName, writeManifest, isWhole };
