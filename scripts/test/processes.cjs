'use strict';
/** The processes that a test file started: its process group, and any that carry its mark in their environment. */
const fs = require('node:fs');

// Not SLIPWAY_…: the program refuses variables of that prefix that it does not know.
const markVariable = 'TEST_MARK_OF_SLIPWAY';

/**
 * The living processes of a group or with a mark. A process that made itself a session of its own is found by
 * the mark, one that cleared its environment by the group.
 *
 * @param {{group: number, mark: string}} owner
 * @returns {{pid: number, command: string}[]}
 */
function processesOf(owner) {
  const pids = fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  return pids
    .filter((pid) => isOf(pid, owner))
    .map((pid) => ({
      pid: Number(pid),
      command: read(pid, 'cmdline').split('\0').join(' ').trim().slice(0, 200),
    }));
}

function isOf(pid, owner) {
  const [state, , group] = read(pid, 'stat').split(') ').slice(-1)[0].split(' ');
  if (state === undefined || state === '' || state === 'Z' || state === 'X') return false;
  return Number(group) === owner.group || hasMark(pid, owner.mark);
}

/** A test that runs tests gives them marks below its own. */
function hasMark(pid, mark) {
  const variables = read(pid, 'environ').split('\0');
  const found = variables.find((variable) => variable.startsWith(`${markVariable}=`));
  return found !== undefined && `${found}/`.startsWith(`${markVariable}=${mark}/`);
}

/** Processes end while we look, and some are not ours to read: both count as nothing. */
function read(pid, name) {
  try {
    return fs.readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch {
    return '';
  }
}

/** Kills everything of an owner, again until nothing is left (a process may fork meanwhile). */
function killAll(owner) {
  for (let round = 0; round < 20; round++) {
    const found = processesOf(owner);
    if (found.length === 0) return;
    for (const { pid } of found) kill(pid);
  }
}

function kill(pid) {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}

/** What is still alive once `graceMs` have passed since the test file ended. */
async function leftBehind(owner, graceMs = 3000) {
  const deadline = Date.now() + graceMs;
  let found = processesOf(owner);
  while (found.length > 0 && Date.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    found = processesOf(owner);
  }
  return found;
}

module.exports = { markVariable, killAll, leftBehind };
