/** The outlet: one port of loopback inside that leads to the starter, and still no other network. */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { describe, test } from 'node:test';
import { isSlipwayError } from '../../../src/base/errors.ts';
import type { Sandbox } from '../../../src/runtime/driver.ts';
import { assertNothingLeft } from '../../support/leftovers.ts';
import { drain, endStdin, patience, readLogs, specOf } from '../../support/run-sandbox.ts';
import { python, runPython, type Subject } from './subject.ts';

const port = 3128;
const connect = `import socket\ns = socket.create_connection(("127.0.0.1", ${port}))\n`;

export function describeOutlet(subject: Subject): void {
  const start = async (source: string, accept: (connection: Socket) => void): Promise<Sandbox> => {
    const { driver, image } = subject();
    const spec = { ...specOf({ image, argv: python(source) }), outlet: { port, accept } };
    const sandbox = await driver.create(spec, patience());
    await sandbox.start(patience());
    endStdin(sandbox);
    return sandbox;
  };
  const run = async (source: string, accept: (connection: Socket) => void) => {
    await using sandbox = await start(source, accept);
    const output = readLogs(sandbox);
    const status = await sandbox.wait(patience());
    const { stdout, stderr } = await output;
    return { status, stdout: String(stdout), stderr: String(stderr) };
  };

  describe('outlet', () => {
    test('a driver without outlets refuses them', async () => {
      if (subject().driver.capabilities.outlet) return;
      await assert.rejects(
        start('pass', () => undefined),
        (error) => isSlipwayError(error) && error.kind === 'unsupported',
      );
    });

    test('it is open before the first instruction of the program, each time', async () => {
      for (let i = 0; i < 10; i++) {
        const source = `${connect}s.sendall(b"ask"); s.shutdown(1)\nprint(s.makefile().read())`;
        const { stdout, stderr } = await run(source, (connection) => {
          connection.once('data', (asked) => connection.end(`${asked}: answer ${i}`));
        });
        assert.equal(stdout, `ask: answer ${i}\n`, stderr);
      }
    });

    test('many bytes both ways, and 100 connections at once', async () => {
      const source = `
import socket, threading
def one(i):
    with socket.create_connection(("127.0.0.1", ${port})) as s:
        sent = bytes([i]) * 100_000
        threading.Thread(target=lambda: (s.sendall(sent), s.shutdown(1))).start()
        got = s.makefile("rb").read()
        results.append(got == sent)
results = []
threads = [threading.Thread(target=one, args=(i,)) for i in range(100)]
[t.start() for t in threads]; [t.join() for t in threads]
print(len(results), all(results))`;
      const { stdout, stderr } = await run(source, (connection) => {
        connection.on('error', () => undefined).pipe(connection);
      });
      assert.equal(stdout, '100 True\n', stderr);
    });

    test('there is nothing else: no other port, no route, no address of the host', async () => {
      const source = `
import socket
for address in [("127.0.0.1", 22), ("127.0.0.1", ${port + 1}), ("127.0.0.2", ${port}), ("8.8.8.8", 53),
                ("169.254.169.254", 80), ("10.0.0.1", 80)]:
    try: socket.create_connection(address, 2); print("reached", address)
    except OSError: pass
try: socket.create_connection(("::1", ${port}), 2); print("reached ::1")
except OSError: pass
print([line.split(":")[0].strip() for line in open("/proc/net/dev").readlines()[2:]])
print(open("/proc/net/route").readlines()[1:], len(open("/proc/net/fib_trie").read()) < 2000)`;
      const { stdout, stderr } = await run(source, (connection) => connection.destroy());
      assert.equal(stdout, "['lo']\n[] True\n", stderr);
    });

    test('the program can neither take the port nor configure its network', async () => {
      const source = `
import socket, fcntl, struct
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
try: s.bind(("127.0.0.1", ${port})); s.listen(); print("bound")
except OSError as e: print(e.strerror)
try: fcntl.ioctl(s, 0x8914, struct.pack("16sh22x", b"lo", 0)); print("down")
except OSError as e: print(e.strerror)
try: open("/proc/sys/net/ipv4/ip_unprivileged_port_start", "w"); print("opened")
except OSError as e: print(e.strerror)`;
      const { stdout } = await run(source, (connection) => connection.destroy());
      assert.equal(stdout, 'Address already in use\nOperation not permitted\nRead-only file system\n');
    });

    test('without an outlet nothing is on that port', async () => {
      const source = `${connect}print("reached")`;
      assert.match(String((await runPython(subject, source)).stderr), /ConnectionRefusedError/);
    });

    test('destroyed with open connections: nothing is left', async () => {
      const opened = Promise.withResolvers<Socket>();
      const sandbox = await start(`${connect}s.recv(1)\nimport time; time.sleep(600)`, opened.resolve);
      const connection = await opened.promise;
      connection.on('error', () => undefined);
      await sandbox.destroy();
      connection.destroy();
      await drain(sandbox.logs(patience())[Symbol.asyncIterator]());
      await assertNothingLeft(subject().scope);
    });
  });
}
