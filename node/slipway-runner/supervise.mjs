/** Process 1 while the script runs: starts it, forwards signals, reports how it ended. */
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { writeMessage } from './frames.mjs';
import { exitMessage, startedMessage } from './protocol.mjs';
import { contextPath } from './receive.mjs';

/**
 * @import { ChildProcess } from 'node:child_process'
 * @import { Places } from './places.mjs'
 * @import { Request } from './protocol.mjs'
 */

const forwarded = /** @type {const} */ (['SIGTERM', 'SIGINT', 'SIGHUP']);
const streams = fileURLToPath(new URL('./streams.cjs', import.meta.url));
const oomScore = '/proc/self/oom_score_adj';

/**
 * Runs the script and ends this process with its status (128 + n after signal n).
 *
 * @param {number} channel
 * @param {Request} request
 * @param {Places} places
 * @param {(error: unknown) => void} refuse called when there is no process for it
 */
export function superviseScript(channel, request, places, refuse) {
  const child = asOomVictim(() => startScript(request, places));
  child.on('error', refuse);
  if (child.pid === undefined) return;
  for (const name of forwarded) process.on(name, () => forward(child, name));
  detachStandardStreams();
  tell(channel, startedMessage());
  child.on('exit', (code, signal) => {
    const { status, name } = statusOf(code, signal);
    tell(channel, exitMessage(status, name));
    process.exit(status);
  });
}

/**
 * Sends a message; a starter that has gone is not our failure.
 *
 * @param {number} channel
 * @param {object} message
 */
export function tell(channel, message) {
  try {
    writeMessage(channel, message);
  } catch {
    // Nobody listens any more.
  }
}

/**
 * The script as `node script.mjs` would run it, in a session of its own. Node has closed the channel to its
 * children already: it marks what it inherits close-on-exec.
 *
 * @param {Request} request
 * @param {Places} places
 */
function startScript({ entry, args, env, merged }, places) {
  const argv = ['--require', streams, `${places.code}/${entry}`, ...args];
  return spawn(process.execPath, argv, {
    cwd: places.work,
    detached: true,
    stdio: [0, 1, merged ? 1 : 2],
    env: {
      ...env,
      SLIPWAY_CONTEXT: contextPath(places.code),
      SLIPWAY_DATA: places.data,
      SLIPWAY_WORK: places.work,
    },
  });
}

/**
 * When memory runs out, the script and its children go first, so that process 1 can report it: they inherit what
 * process 1 is for a moment.
 *
 * @param {() => ChildProcess} start
 */
function asOomVictim(start) {
  const own = setOomScore('1000');
  try {
    return start();
  } finally {
    if (own !== undefined) setOomScore(own);
  }
}

/**
 * @param {string} score
 * @returns {string | undefined} the one before; undefined where there is no /proc, or it is not ours
 */
function setOomScore(score) {
  try {
    const before = readFileSync(oomScore, 'utf8').trim();
    writeFileSync(oomScore, score);
    return before;
  } catch {
    return undefined;
  }
}

/** So that readers see the end of a stream when the script closes it, not when process 1 ends. */
function detachStandardStreams() {
  for (const descriptor of [0, 1, 2]) {
    closeSync(descriptor);
    openSync('/dev/null', 'r+'); // the lowest number that is free: the one just closed
  }
}

/**
 * To the script's process group; before the child has made that group, to the child.
 *
 * @param {ChildProcess} child
 * @param {NodeJS.Signals} name
 */
function forward(child, name) {
  if (child.pid === undefined) return;
  for (const target of [-child.pid, child.pid]) {
    try {
      process.kill(target, name);
      return;
    } catch {
      // It has ended, or its group is not there yet.
    }
  }
}

/**
 * Death by a real-time signal looks like status 0 here: libuv knows no name for it and keeps the number to itself.
 *
 * @param {number | null} code
 * @param {NodeJS.Signals | null} signal
 */
function statusOf(code, signal) {
  if (signal === null) return { status: (code ?? 0) & 0xff, name: undefined };
  return { status: 128 + constants.signals[signal], name: signal };
}
