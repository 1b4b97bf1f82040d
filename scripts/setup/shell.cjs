'use strict';
/**
 * Running other programs during set-up: found on PATH or in the system's directories, output kept and
 * shown only when it matters, progress on stderr. Old syntax and no dependencies: it runs before
 * node_modules exists.
 */
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const systemDirectories = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/** An error whose message is meant for the person at the keyboard; no stack is shown. */
class SetupError extends Error {}

/** The full path of a command, or undefined. Root's directories count even when PATH lacks them. */
function which(command) {
  const directories = (process.env.PATH || '').split(':').filter(Boolean).concat(systemDirectories);
  return directories.map((directory) => path.join(directory, command)).find(isExecutable);
}

function isExecutable(file) {
  try {
    fs.accessSync(file, fs.constants.X_OK);
    return fs.statSync(file).isFile();
  } catch {
    return false;
  }
}

/**
 * Runs a program with its output kept.
 *
 * @param {string[]} argv
 * @param {{cwd?: string, env?: object, onLine?: (line: string) => void}} [options]
 * @returns {Promise<{ok: boolean, status: string, output: string}>} never rejects; `status` says how it ended
 */
function run(argv, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(argv[0], argv.slice(1), {
      cwd: options.cwd,
      env: options.env || process.env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    const keep = (chunk) => {
      output = (output + chunk).slice(-200000);
      if (options.onLine) for (const line of chunk.split('\n')) if (line.trim()) options.onLine(line.trim());
    };
    child.stdout.setEncoding('utf8').on('data', keep);
    child.stderr.setEncoding('utf8').on('data', keep);
    child.on('error', (error) => resolve({ ok: false, status: error.message, output }));
    child.on('close', (code, signal) =>
      resolve({ ok: code === 0, status: signal ? `killed by ${signal}` : `exit status ${code}`, output }),
    );
  });
}

/** The last lines of a program's output, indented. */
function lastLines(output, count = 15) {
  const lines = output.split('\n').filter((line) => line.trim() !== '');
  return lines
    .slice(-count)
    .map((line) => `    ${line}`)
    .join('\n');
}

/**
 * Says `→ what`, repeats the latest line every 10 s while `work` lasts, then says `✓ what (time)`, or `✗` when
 * it throws or its result is not `ok`.
 */
async function withProgress(what, work) {
  const started = Date.now();
  const seconds = () => `${((Date.now() - started) / 1000).toFixed(1)} s`;
  let latest = '';
  let mark = '✗';
  say(`→ ${what}`);
  const timer = setInterval(() => say(`  … ${seconds()} ${latest.slice(0, 120)}`), 10000);
  try {
    const result = await work((line) => {
      latest = line;
    });
    if (result?.ok !== false) mark = '✓';
    return result;
  } finally {
    clearInterval(timer);
    say(`${mark} ${what} (${seconds()})`);
  }
}

function say(line) {
  process.stderr.write(`${line}\n`);
}

module.exports = { SetupError, which, run, lastLines, withProgress, say };
