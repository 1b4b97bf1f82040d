'use strict';
/**
 * Loaded into the script's process before the script (`--require`): writes to pipes wait until they are taken. Node
 * queues what a full pipe does not take, so that one stream would overtake the other on the pipe that merged output
 * shares, and `process.exit` would lose the rest.
 */
for (const stream of [process.stdout, process.stderr]) {
  // Files and terminals have no such handle: they wait anyhow. Workers have streams of their own.
  stream._handle?.setBlocking?.(true);
}
// What the script starts with `fork` is its own affair.
process.execArgv.length = 0;
