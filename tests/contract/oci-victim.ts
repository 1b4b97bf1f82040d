/**
 * A starter that will be killed: makes a sandbox, brings it to the phase that its argument names, prints the
 * reference and waits.
 */

import { randomText } from '../../src/base/ids.ts';
import type { RuntimeDriver, Sandbox, SandboxUse } from '../../src/runtime/driver.ts';
import { createOciDriver } from '../../src/runtime/oci/driver.ts';
import { inputs, patience, readUntil, specOf } from '../support/run-sandbox.ts';
import { openTestImage } from '../support/test-image.ts';
import { python } from './driver/subject.ts';
import type { VictimOrder } from './oci-under-test.ts';

const port = 8000;
const daemon = `
import os, time
for _ in range(3):
    if os.fork() == 0: os.setsid()
print("begun", flush=True)
time.sleep(600)`;
const server = `
import http.server
http.server.HTTPServer(("127.0.0.1", ${port}), http.server.SimpleHTTPRequestHandler).serve_forever()`;

/** Both ends of a connection out of the sandbox are held. */
const client = `
import socket
s = socket.create_connection(("127.0.0.1", ${port}))
print("begun", flush=True)
s.recv(1)`;

async function main(order: VictimOrder): Promise<void> {
  const { image, tree } = await openTestImage();
  const { install, runtimeDir, stateDir, idBase, idCount } = order;
  const driver = await createOciDriver({
    ...{ install, runtimeDir, stateDir, idBase, idCount },
    starter: randomText(8),
    rootfs: async () => tree,
    runtime: { name: 'runc', path: 'runc' },
    switchedOff: new Set(),
    workLoopThresholdBytes: 1024 ** 3,
  });
  const use: SandboxUse =
    order.phase === 'serving'
      ? { kind: 'server', argv: python(server), port }
      : {
          kind: 'command',
          argv: python(order.phase === 'connected' ? client : daemon),
          streams: 'merged',
        };
  const limits = order.phase === 'large-work' ? { workBytes: 2 * 1024 ** 3 } : {};
  const outlet = order.phase === 'connected' ? { outlet: { port, accept: () => undefined } } : {};
  const spec = { ...specOf({ image, argv: [], limits }), use, ...outlet };
  const sandbox = await bringTo(order.phase, driver, spec);
  process.stdout.write(`${JSON.stringify(sandbox.ref)}\n`);
  setInterval(() => undefined, 1000);
}

async function bringTo(
  phase: VictimOrder['phase'],
  driver: RuntimeDriver,
  spec: Parameters<RuntimeDriver['create']>[0],
): Promise<Sandbox> {
  const sandbox = await driver.create(spec, patience());
  if (phase === 'created') return sandbox;
  await sandbox.supply(inputs({ 'a/b': 'input' }), patience());
  if (phase === 'supplied') return sandbox;
  if (phase === 'destroyed') {
    await sandbox.destroy();
    return sandbox;
  }
  await sandbox.start(patience());
  if (phase === 'serving') await sandbox.connect(patience());
  else await readUntil(sandbox.logs(patience())[Symbol.asyncIterator](), 'begun');
  return sandbox;
}

await main(JSON.parse(process.argv[2] ?? ''));
