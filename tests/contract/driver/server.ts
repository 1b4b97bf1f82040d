/** The use `server`: an HTTP server inside, behind an address outside. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { describe, test } from 'node:test';
import { isSlipwayError } from '../../../src/base/errors.ts';
import type { Address, Sandbox, SandboxUse } from '../../../src/runtime/driver.ts';
import { assertNothingLeft } from '../../support/leftovers.ts';
import { drain, endStdin, patience, specOf } from '../../support/run-sandbox.ts';
import { python, type Subject } from './subject.ts';

const port = 8000;

/** Answers every request with what it got; counts connections. */
const echoServer = `
import http.server, itertools, sys
counter = itertools.count(1)
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def setup(self):
        super().setup(); self.serial = next(counter)
    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or self.path.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Connection", str(self.serial))
        self.end_headers()
        self.wfile.write(body)
    do_GET = do_POST = answer
    def log_message(self, *_): pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
Server((sys.argv[1], ${port}), Handler).serve_forever()`;

export function describeServer(subject: Subject): void {
  const create = (use: SandboxUse): Promise<Sandbox> => {
    const { driver, image } = subject();
    return driver.create({ ...specOf({ image, argv: [] }), use }, patience());
  };

  describe('server', () => {
    const serve = async (source: string, ...args: string[]): Promise<Sandbox> => {
      const sandbox = await create({ kind: 'server', argv: python(source, ...args), port });
      await sandbox.start(patience());
      endStdin(sandbox);
      return sandbox;
    };

    test('a driver without servers refuses them', async () => {
      if (subject().driver.capabilities.server) return;
      await assert.rejects(create({ kind: 'server', argv: ['true'], port }), isUnsupported);
    });

    test('100 requests over one connection, then 60 at once', async () => {
      await using sandbox = await serve(echoServer, '127.0.0.1');
      const address = await sandbox.connect(patience());
      using agent = agentWith(1);
      const serials = new Set<unknown>();
      for (let i = 0; i < 100; i++) {
        const { body, serial } = await request(address, agent, { path: `/r${i}` });
        assert.equal(body.toString(), `/r${i}`);
        serials.add(serial);
      }
      assert.equal(serials.size, 1, 'one connection was kept alive');
      using many = agentWith(20);
      const paths = Array.from({ length: 60 }, (_, i) => `/c${i}`);
      const answers = await Promise.all(paths.map((path) => request(address, many, { path })));
      assert.deepEqual(
        answers.map(({ body }) => body.toString()),
        paths,
      );
    });

    for (const [what, host] of [
      ['any address of IPv6', '::'],
      ['the loopback of IPv6', '::1'],
    ] as const) {
      test(`a server on ${what}`, async () => {
        const source = `import http.server, socket\nhttp.server.HTTPServer.address_family = socket.AF_INET6\n${echoServer}`;
        await using sandbox = await serve(source, host);
        const address = await sandbox.connect(patience());
        using agent = agentWith(1);
        assert.equal((await request(address, agent, { path: '/six' })).body.toString(), '/six');
      });
    }

    test('a server is reached the moment that connect says so', async () => {
      for (let i = 0; i < 10; i++) {
        await using sandbox = await serve(echoServer, '127.0.0.1');
        const address = await sandbox.connect(patience());
        using agent = agentWith(1);
        await request(address, agent, { path: '/' });
      }
    });

    test('large bodies both ways', async () => {
      await using sandbox = await serve(echoServer, '0.0.0.0');
      const address = await sandbox.connect(patience());
      using agent = agentWith(2);
      const sent = Buffer.alloc(20_000_000, 'slipway ');
      const { body } = await request(address, agent, { path: '/', sent });
      assert.ok(body.equals(sent));
    });

    test('a server that takes its time is waited for', async () => {
      const source = `import time\ntime.sleep(0.5)\n${echoServer}`;
      await using sandbox = await serve(source, '127.0.0.1');
      const address = await sandbox.connect(patience());
      using agent = agentWith(1);
      assert.equal((await request(address, agent, { path: '/late' })).body.toString(), '/late');
    });

    test('connect twice gives the same server', async () => {
      await using sandbox = await serve(echoServer, '127.0.0.1');
      const addresses = [await sandbox.connect(patience()), await sandbox.connect(patience())];
      using agent = agentWith(1);
      for (const address of addresses)
        assert.equal((await request(address, agent, { path: '/x' })).body.toString(), '/x');
    });

    test('a server that never listens: connect waits until its signal, and says so', async () => {
      await using sandbox = await serve('import time; time.sleep(600)');
      await assert.rejects(sandbox.connect(AbortSignal.timeout(500)));
    });

    test('a server that crashes before it listens: connect fails at once and says so', async () => {
      await using sandbox = await serve('raise SystemExit(3)');
      await assert.rejects(sandbox.connect(patience()), (error) => isSlipwayError(error));
      const status = await sandbox.wait(patience());
      assert.ok(status.kind === 'exited' && status.code === 3);
    });

    test('a server that crashes later: requests fail, nothing hangs, nothing is left', async () => {
      const sandbox = await serve(
        `import threading, os\nthreading.Timer(1.0, lambda: os._exit(4)).start()\n${echoServer}`,
        '127.0.0.1',
      );
      const address = await sandbox.connect(patience());
      using agent = agentWith(1);
      await request(address, agent, { path: '/' });
      await Promise.all([sandbox.wait(patience()), drain(sandbox.logs(patience())[Symbol.asyncIterator]())]);
      await assert.rejects(request(address, agent, { path: '/' }));
      await sandbox.destroy();
      await assert.rejects(request(address, agent, { path: '/' }));
      await assertNothingLeft(subject().scope);
    });

    test('two servers on the same port do not meet', async () => {
      const one = "import sys; sys.argv[1:] = ['127.0.0.1']\n";
      await using first = await serve(one + echoServer.replace('self.path.encode()', 'b"first"'));
      await using second = await serve(one + echoServer.replace('self.path.encode()', 'b"second"'));
      const addresses = await Promise.all([first.connect(patience()), second.connect(patience())]);
      using agent = agentWith(2);
      const bodies = await Promise.all(addresses.map((address) => request(address, agent, { path: '/' })));
      assert.deepEqual(
        bodies.map(({ body }) => body.toString()),
        ['first', 'second'],
      );
    });

    test('stop and destroy in the middle of requests', async () => {
      const sandbox = await serve(echoServer, '127.0.0.1');
      const address = await sandbox.connect(patience());
      using agent = agentWith(10);
      const requests = Array.from({ length: 50 }, (_, i) =>
        request(address, agent, { path: `/${i}` }).catch(() => 'cut'),
      );
      await sandbox.destroy();
      await Promise.all(requests);
      await assertNothingLeft(subject().scope);
    });

    test('a command has no address', async () => {
      await using sandbox = await create({ kind: 'command', argv: python('input()'), streams: 'merged' });
      await sandbox.start(patience());
      await assert.rejects(sandbox.connect(patience()));
    });
  });
}

function isUnsupported(error: unknown): boolean {
  return isSlipwayError(error) && error.kind === 'unsupported';
}

function agentWith(maxSockets: number): http.Agent & Disposable {
  const agent = new http.Agent({ keepAlive: true, maxSockets });
  return Object.assign(agent, { [Symbol.dispose]: () => agent.destroy() });
}

interface Answer {
  readonly body: Buffer;
  readonly serial: unknown;
}

async function request(
  address: Address,
  agent: http.Agent,
  { path, sent }: { readonly path: string; readonly sent?: Buffer },
): Promise<Answer> {
  const options = {
    socketPath: address.path,
    agent,
    path,
    method: sent ? 'POST' : 'GET',
    signal: patience(),
  };
  const asked = http.request(options).end(sent);
  const [response]: http.IncomingMessage[] = await once(asked, 'response');
  assert.ok(response);
  const parts: Buffer[] = [];
  for await (const part of response) parts.push(Buffer.from(part));
  return { body: Buffer.concat(parts), serial: response.headers['x-connection'] };
}
