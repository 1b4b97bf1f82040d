'use strict';
/** Which test files there are, in which groups, and how each is run. No shell globs: they match nothing silently. */
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const minuteMs = 60 * 1000;

/**
 * The groups, in the order they run. A file belongs to the first that matches. Those that make sandboxes run
 * one after another, so that they do not fight for the machine.
 */
const groups = [
  {
    name: 'unit',
    match: /^(src|scripts)\/.+\.test\.ts$|^tests\/[^/]+\.test\.ts$|^python\/.+\/test_[^/]+\.py$/,
    parallel: os.cpus().length,
    timeoutMs: 2 * minuteMs,
  },
  { name: 'soak', match: /^tests\/soak\/.+\.test\.ts$/, parallel: 1, timeoutMs: 360 * minuteMs, soak: true },
  { name: 'sandbox', match: /^tests\/.+\.test\.ts$/, parallel: 1, timeoutMs: 10 * minuteMs },
];

/**
 * The test files of a checkout.
 *
 * @param {string} checkout
 * @param {{soak?: boolean, filters?: string[]}} options `filters`: only files whose path contains one of them
 * @returns {{name: string, parallel: number, timeoutMs: number, files: string[]}[]}
 */
function planTests(checkout, options = {}) {
  const all = ['src', 'scripts', 'tests', 'python'].flatMap((part) => [...listFiles(checkout, part)]).sort();
  const chosen = all.filter((file) => isChosen(file, options.filters || []));
  return groups
    .filter((group) => !group.soak || options.soak)
    .map((group) => ({
      ...group,
      timeoutMs: options.soak ? group.timeoutMs * 6 : group.timeoutMs,
      files: chosen.filter((file) => groups.find((candidate) => candidate.match.test(file)) === group),
    }));
}

function isChosen(file, filters) {
  return filters.length === 0 || filters.some((filter) => file.includes(filter.replace(/^\.\//, '')));
}

function* listFiles(base, at) {
  const full = path.join(base, at);
  if (!fs.existsSync(full)) return;
  for (const entry of fs.readdirSync(full, { withFileTypes: true })) {
    const inside = path.join(at, entry.name);
    if (entry.isDirectory() && entry.name !== 'node_modules') yield* listFiles(base, inside);
    else if (entry.isFile()) yield inside;
  }
}

module.exports = { planTests };
