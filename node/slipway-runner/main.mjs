/**
 * The Node runner: process 1 of a sandbox that runs one script, then ends.
 *
 * What it is: a program in an image that says *ready* on an inherited descriptor, takes one request, runs the
 * script in one child and reports how that child ended. What it is not: a security boundary. The script has the
 * runner's user id; everything the runner says is a hint to the starter, which measures from outside.
 *
 * Where to go next: protocol.mjs (what is said; docs/runner-protocol.md), frames.mjs (how it is said), receive.mjs
 * (the script's files), supervise.mjs (process 1 while the script runs). Standard library only.
 */
import { FrameError, writeMessage } from './frames.mjs';
import { parsePlaces } from './places.mjs';
import { RequestError, readyMessage, refusedMessage } from './protocol.mjs';
import { receiveRequest } from './receive.mjs';
import { superviseScript, tell } from './supervise.mjs';

const channel = 3;
const refused = 125;

/** @param {readonly string[]} argv */
function main(argv) {
  try {
    // A script gets a process of its own, so nothing can be imported for it beforehand.
    const wanted = (process.env.SLIPWAY_PRELOAD ?? '').split(',').map((name) => name.trim());
    writeMessage(channel, readyMessage(wanted.filter((name) => name !== '')));
  } catch (error) {
    process.stderr.write(
      `slipway-runner: descriptor ${channel} is not an open channel to a starter: ${error}\n`,
    );
    process.exit(1);
  }
  const places = parsePlaces(argv);
  try {
    const request = receiveRequest(channel, places.code);
    if (request === undefined) process.exit(0);
    superviseScript(channel, request, places, refuse);
  } catch (error) {
    refuse(error);
  }
}

/** @param {unknown} error */
function refuse(error) {
  const isKnown = error instanceof RequestError || error instanceof FrameError || isSystemError(error);
  if (!isKnown) throw error;
  tell(channel, refusedMessage(error.message));
  process.exit(refused);
}

/**
 * @param {unknown} error
 * @returns {error is NodeJS.ErrnoException}
 */
function isSystemError(error) {
  return error instanceof Error && 'syscall' in error;
}

main(process.argv.slice(2));
