'use strict';
/**
 * Runs one test file as a process group of its own, with a time-out, and says what happened: every test by
 * name, and as failures of the file itself: a time-out, a crash, no tests, processes left behind.
 */
const fs = require('node:fs');
const path = require('node:path');
const { spawn } = require('node:child_process');
const { killAll, leftBehind, markVariable } = require('./processes.cjs');

const keptOutput = 20000;
const heartbeatMs = 30000;
const pipeGraceMs = 500;
const outcomes = ['passed', 'failed', 'skipped'];
const running = new Map();

/**
 * @param {string} file relative to the checkout
 * @param {{checkout: string, node: string, workDirectory: string, timeoutMs: number, env: object,
 *   onHeartbeat: (text: string) => void}} options
 * @returns {Promise<{file: string, tests: object[], output: string, durationMs: number}>} `tests`: each with
 *   name, event (`passed`, `failed`, `skipped`), and detail or reason
 */
async function runFile(file, options) {
  const started = Date.now();
  const id = `${path.basename(options.workDirectory)}-${file.replace(/[^\w.]+/g, '-')}`;
  const results = path.join(options.workDirectory, `${id}.jsonl`);
  const mark = [process.env[markVariable], id].filter(Boolean).join('/');
  const child = spawn(...commandOf(file, results, options), {
    cwd: options.checkout,
    env: { ...process.env, ...options.env, [markVariable]: mark },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const owner = { group: child.pid, mark };
  running.set(id, owner);
  const end = await follow(child, { ...options, results, owner });
  const left = await leftBehind(owner);
  killAll(owner);
  running.delete(id);
  const events = readEvents(results);
  const tests = events.filter((event) => outcomes.includes(event.event));
  const problems = problemsOf({ ...end, left, tests, timeoutMs: options.timeoutMs, events });
  const failures = problems.map((detail) => ({ event: 'failed', name: '(the file itself)', detail }));
  return { file, tests: [...tests, ...failures], output: end.output, durationMs: Date.now() - started };
}

function commandOf(file, results, options) {
  if (file.endsWith('.py')) {
    const args = [
      path.join(__dirname, 'run_python.py'),
      results,
      path.dirname(file),
      'python',
      path.basename(file),
    ];
    return ['/usr/bin/python3', args];
  }
  const reporter = path.join(__dirname, 'reporter.mjs');
  const flags = ['--disable-warning=ExperimentalWarning', `--test-reporter=${reporter}`];
  return [options.node, [...flags, `--test-reporter-destination=${results}`, file]];
}

/** Waits until the file's process has ended, killing its group at the time-out. */
function follow(child, options) {
  return new Promise((resolve) => {
    let output = '';
    let timedOut = false;
    const keep = (chunk) => {
      output = (output + chunk).slice(-keptOutput);
    };
    child.stdout.setEncoding('utf8').on('data', keep);
    child.stderr.setEncoding('utf8').on('data', keep);
    const timer = setTimeout(() => {
      timedOut = true;
      killAll(options.owner);
    }, options.timeoutMs);
    const heartbeat = setInterval(() => options.onHeartbeat(latest(options.results)), heartbeatMs);
    const end = (code, signal) => {
      clearTimeout(timer);
      clearInterval(heartbeat);
      const finish = () => resolve({ code, signal, output, timedOut });
      child.once('close', finish);
      setTimeout(finish, pipeGraceMs); // a grandchild may hold the pipes open; it counts as left behind
    };
    child.on('error', (error) => end(error.message, null));
    child.on('exit', end);
  });
}

function problemsOf(end) {
  const problems = [];
  const failed = end.tests.some((test) => test.event === 'failed');
  if (end.timedOut) problems.push(`timed out after ${end.timeoutMs / 1000} s in: ${unfinished(end.events)}`);
  else if (end.signal) problems.push(`was killed by ${end.signal} in: ${unfinished(end.events)}`);
  else if (end.code !== 0 && !failed) problems.push(`ended with ${end.code} though no test failed`);
  if (end.tests.length === 0) problems.push('ran no tests');
  const left = end.left.map(({ pid, command }) => `${pid} ${command}`).join('\n  ');
  if (left && !end.timedOut) problems.push(`left processes behind (killed now):\n  ${left}`);
  return problems;
}

function unfinished(events) {
  const ended = new Set(events.filter((event) => event.event !== 'start').map((event) => event.name));
  const open = events.filter((event) => event.event === 'start' && !ended.has(event.name));
  return open.map((event) => event.name).pop() || 'no test';
}

function latest(results) {
  return unfinished(readEvents(results));
}

/** The events so far; a killed process may have written half of the last line. */
function readEvents(results) {
  const text = fs.existsSync(results) ? fs.readFileSync(results, 'utf8') : '';
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
}

/** Kills what still runs, when the whole run is interrupted. */
function killRunning() {
  for (const owner of running.values()) killAll(owner);
}

module.exports = { runFile, killRunning };
