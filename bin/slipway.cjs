#!/usr/bin/env node
'use strict';
/**
 * The launcher: finds Node 24 and executes src/main.ts with it. Old syntax without dependencies, because
 * any Node from 20 may run it, before node_modules exists. In a checkout, `start` sets up first and `up`
 * stages first; both then run from the staged copy. Next: src/main.ts.
 */
const fs = require('node:fs');
const path = require('node:path');
const { spawn } = require('node:child_process');
const { pathToFileURL } = require('node:url');

const home = path.join(__dirname, '..');
const forwardedSignals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'];

async function main() {
  const args = process.argv.slice(2);
  const from = await homeFor(args[0]);
  const node = findNode(from);
  const bin = (name) => pathToFileURL(path.join(from, 'bin', name)).href;
  const argv = ['--disable-warning=ExperimentalWarning', `--import=${bin('preload.mjs')}`];
  const program = [path.join(from, 'src', 'main.ts'), ...args];
  const npm = npmAbove();
  if (process.execve && npm.length === 0) process.execve(node, [node, ...argv, ...program], process.env);
  supervise(node, [...argv, `--import=${bin('lifeline.mjs')}`, ...program], npm);
}

/** The directory to run from: in a checkout, `start` and `up` run from its staged copy. */
async function homeFor(command) {
  if (!isCheckout() || !['start', 'up'].includes(command)) return home;
  if (command === 'up' && process.getuid() !== 0) return home; // src/main.ts says what needs root
  const { setup } = require('../scripts/setup.cjs');
  const options =
    command === 'start' ? { groups: ['run', 'build'] } : { only: ['node', 'staging'], quiet: true };
  return (await setup(options)).staged;
}

function isCheckout() {
  const has = (name) => fs.existsSync(path.join(home, name));
  return has('package-lock.json') && has('scripts/setup.cjs') && !has('.staged.json');
}

function findNode(from) {
  const packaged = path.join(from, 'node_modules', `node-linux-${process.arch}`, 'bin', 'node');
  if (fs.existsSync(packaged)) return packaged;
  if (Number(process.versions.node.split('.')[0]) >= 24) return process.execPath;
  throw new Error(`Slipway runs on Node 24; this is ${process.version}. Type in ${home}: npm install`);
}

/**
 * Runs the program as a child, with signals forwarded and the same exit status. It ends when npm, which
 * started us, is killed (npm can then tell nobody), and when we are (lifeline.mjs).
 */
function supervise(node, argv, npm) {
  const child = spawn(node, argv, { stdio: ['inherit', 'inherit', 'inherit', 'ipc'] });
  for (const signal of forwardedSignals) process.on(signal, () => forward(child, signal));
  const watch = setInterval(() => {
    if (npm.every(isAlive)) return;
    clearInterval(watch);
    child.kill('SIGTERM');
  }, 500);
  watch.unref();
  child.on('error', fail);
  child.on('exit', (code, signal) => (signal ? dieOf(signal) : process.exit(code)));
}

/** A terminal sends Ctrl-C to the whole foreground group, so the child has it already. */
function forward(child, signal) {
  if (['SIGINT', 'SIGQUIT'].includes(signal) && isForeground()) return;
  child.kill(signal);
}

function isForeground() {
  const stat = readStat('self');
  return stat !== undefined && stat.group === stat.terminalGroup;
}

function dieOf(signal) {
  for (const forwarded of forwardedSignals) process.removeAllListeners(forwarded);
  process.kill(process.pid, signal);
}

/** The shell and the npm that started us, when `npm start` did. */
function npmAbove() {
  if (!process.env.npm_lifecycle_event) return [];
  const parent = readStat(process.ppid);
  if (!parent) return [];
  return /^(sh|dash|bash)$/.test(parent.name) ? [parent, readStat(parent.parent)].filter(Boolean) : [parent];
}

function isAlive(watched) {
  const now = readStat(watched.pid);
  return now !== undefined && now.startedAt === watched.startedAt && now.state !== 'Z';
}

/** What /proc/PID/stat says (proc(5)), or undefined when the process is gone. */
function readStat(pid) {
  try {
    const text = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
    const name = text.slice(text.indexOf('(') + 1, text.lastIndexOf(')'));
    const rest = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const [state, parent, group, , , terminalGroup] = [rest[0], ...rest.slice(1, 6)];
    return { pid, name, state, parent: Number(parent), group, terminalGroup, startedAt: rest[19] };
  } catch {
    return undefined;
  }
}

function fail(error) {
  process.stderr.write(`slipway: ${error.message}\n`);
  process.exit(1);
}

main().catch(fail);
