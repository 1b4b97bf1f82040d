/** A TCP port of the loopback interface that stays the same over restarts of whoever listens there. */
import { once } from 'node:events';
import { createServer } from 'node:net';

/**
 * Below the ports that the kernel gives to outgoing connections: a client that tries again and again to reach a
 * server that is away could otherwise be given that very port, and connect to itself.
 */
const first = 20_000;
const count = 12_000;

export async function findFreePort(): Promise<number> {
  for (;;) {
    const port = first + Math.floor(Math.random() * count);
    const server = createServer().listen(port, '127.0.0.1');
    const isFree = await once(server, 'listening').then(
      () => true,
      () => false,
    );
    if (!isFree) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}
