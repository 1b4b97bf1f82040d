import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createEgressStage, startEcho, startOrigin } from '../../../tests/support/egress-stage.ts';
import { until } from '../../../tests/support/until.ts';

const loopback = [['127.0.0.1']] as const;
const statusOf = (answer: string) => Number(answer.split(' ')[1]);
const connectText = (authority: string) => `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`;
const getText = (authority: string, path = '/', more = '') =>
  `GET http://${authority}${path} HTTP/1.1\r\nHost: ${authority}\r\n${more}\r\n`;

describe('what is allowed', () => {
  test('CONNECT by name: bytes go both ways, are counted, and the address is told', async () => {
    using echo = await startEcho();
    const host = `a.test:${echo.port}`;
    using stage = await createEgressStage({ rules: [`${host}=127.0.0.1`], answers: { 'a.test': loopback } });
    const client = stage.client(`${connectText(host)}early,`); // the first bytes come with the request
    await client.receives('early,');
    client.socket.end('late');
    assert.equal(await client.closed, 'HTTP/1.1 200 Connection established\r\n\r\nearly,late');
    const where = { host: 'a.test', port: echo.port, kind: 'allowed', address: '127.0.0.1' } as const;
    assert.deepEqual(stage.proxy.usage(), {
      sentBytes: 10,
      receivedBytes: 10,
      hosts: [{ ...where, count: 1, sentBytes: 10, receivedBytes: 10 }],
      omitted: 0,
    });
    assert.deepEqual(stage.decisions, [where]);
  });

  test('an answer comes whole after the client has ended its side', async () => {
    using echo = await startEcho();
    const host = `127.0.0.1:${echo.port}`;
    using stage = await createEgressStage({ rules: [host] });
    const client = stage.client(connectText(host));
    await client.receives('established');
    const sent = 'x'.repeat(3_000_000);
    client.socket.end(sent);
    assert.equal(
      (await client.closed).length,
      'HTTP/1.1 200 Connection established\r\n\r\n'.length + sent.length,
    );
  });

  test('IPv6: CONNECT to an address in brackets, however it is spelled', async () => {
    using echo = await startEcho('::1');
    using stage = await createEgressStage({ rules: [`[::1]:${echo.port}`] });
    const client = stage.client(connectText(`[0:0:0::1]:${echo.port}`));
    await client.receives('established');
    client.socket.end('six');
    assert.match(await client.closed, /six$/);
  });

  test('a request in absolute form is made again, without what is meant for the proxy alone', async () => {
    using origin = await startOrigin('127.0.0.1', (_request, response) => {
      response.setHeader('Proxy-Authenticate', 'Basic realm="x"');
      response.setHeader('Set-Cookie', ['a=1', 'b=2']);
      response.setHeader('X-Kept', 'yes');
      response.end('answer');
    });
    const host = `a.test:${origin.port}`;
    using stage = await createEgressStage({ rules: [`${host}=127.0.0.1`], answers: { 'a.test': loopback } });
    const more = [
      'Proxy-Authorization: Basic c2VjcmV0',
      'Proxy-Connection: keep-alive',
      'Connection: keep-alive, X-Private',
      'X-Private: hop',
      'Keep-Alive: timeout=5',
      'TE: trailers',
      'Upgrade: websocket',
      'Authorization: Bearer kept',
      'X-Many: 1',
      'X-Many: 2',
      '',
    ].join('\r\n');
    const answer = await stage.ask(getText(host, '/a/%2e%2e/b?q=http://x/#'.replace('#', ''), more));
    assert.equal(statusOf(answer), 200);
    assert.match(answer, /set-cookie: a=1\r\nset-cookie: b=2\r\nx-kept: yes\r\n/i);
    assert.match(answer, /\r\n\r\nanswer$/);
    assert.doesNotMatch(answer, /proxy-authenticate/i);
    assert.deepEqual(origin.seen, [
      `GET /a/%2e%2e/b?q=http://x/\nauthorization: Bearer kept\nconnection: close\nhost: ${host}\nx-many: 1, 2\n\n`,
    ]);
  });

  for (const [how, framing, sent] of [
    ['a length', 'Content-Length: 5', 'hello'],
    ['a length that Connection names', 'Connection: content-length\r\nContent-Length: 5', 'hello'],
    ['chunks', 'Transfer-Encoding: chunked', '2\r\nhe\r\n3\r\nllo\r\n0\r\nX-Trailer: 1\r\n\r\n'],
  ] as const) {
    for (const method of ['POST', 'GET', 'DELETE']) {
      test(`a body of ${method} with ${how} stays one body`, async () => {
        using origin = await startOrigin('127.0.0.1', (_request, response, body) =>
          response.end(`<${body}>`),
        );
        const host = `127.0.0.1:${origin.port}`;
        using stage = await createEgressStage({ rules: [host] });
        const head = `${method} http://${host} HTTP/1.1\r\nHost: ${host}\r\n${framing}\r\n\r\n`;
        assert.match(await stage.ask(head + sent), /<hello>/);
        assert.equal(origin.seen.length, 1);
        assert.match(origin.seen[0] ?? '', new RegExp(`^${method} /\\n`));
      });
    }
  }

  test('if the first address does not answer, the next one is tried', async () => {
    using origin = await startOrigin();
    const host = `a.test:${origin.port}`;
    using stage = await createEgressStage({
      rules: [`${host}=127.0.0.0/8`],
      answers: { 'a.test': [['127.0.0.77', '127.0.0.1']] },
    });
    assert.equal(statusOf(await stage.ask(getText(host))), 200);
    assert.equal(stage.proxy.usage().hosts[0]?.address, '127.0.0.1');
  });
});

describe('what is refused', () => {
  const anywhere = ['*.test:80', '*.test:443', 'metadata.google.internal:80', '192.0.2.1:80=127.0.0.1'];

  for (const authority of [
    '127.0.0.1:80',
    '127.1.2.3:443',
    'localhost:80',
    '[::1]:443',
    '[::ffff:127.0.0.1]:80',
    '[64:ff9b::7f00:1]:80',
    '[2002:7f00:1::]:80',
    '169.254.169.254:80',
    '[fd00:ec2::254]:80',
    '[fe80::1]:80',
    '10.0.0.1:443',
    '0.0.0.0:80',
    '[::]:80',
    '8.8.8.8:53',
    'other.example:443',
    'test:80',
    'a.test:22',
  ]) {
    test(`CONNECT and GET to ${authority}, which nobody named`, async () => {
      using stage = await createEgressStage({ rules: anywhere });
      assert.equal(statusOf(await stage.ask(connectText(authority))), 403);
      assert.equal(statusOf(await stage.ask(getText(authority))), 403);
      assert.deepEqual(stage.lookedUp, []);
      assert.equal(stage.decisions.length, 1);
      const [record] = stage.proxy.usage().hosts;
      assert.deepEqual([record?.kind, record?.reason, record?.count], ['refused', 'not-named', 2]);
    });
  }

  for (const address of [
    '127.0.0.1',
    '10.1.2.3',
    '169.254.169.254',
    '168.63.129.16',
    '100.64.0.1',
    '192.168.1.1',
    '0.0.0.0',
    '255.255.255.255',
    '::1',
    '::',
    'fe80::1',
    'fd00:ec2::254',
    '::ffff:127.0.0.1',
    '::ffff:8.8.8.8',
    '64:ff9b::a9fe:a9fe',
    '2002:7f00:1::1',
    '2001:0:7f00:1::',
    'ff02::1',
  ]) {
    test(`a name that resolves to ${address}`, async () => {
      using stage = await createEgressStage({ rules: anywhere, answers: { 'a.test': [[address]] } });
      for (const text of [connectText('a.test:80'), getText('a.test')]) {
        const answer = await stage.ask(text);
        assert.match(answer, /^HTTP\/1\.1 403 This host has an address that is not allowed\r\n/);
      }
      assert.equal(stage.decisions[0]?.reason, 'address-not-allowed');
    });
  }

  test('a named network of another rule does not help', async () => {
    using stage = await createEgressStage({
      rules: [...anywhere, 'b.test:80=10.0.0.0/8'],
      answers: { 'a.test': [['10.1.2.3']] },
    });
    assert.equal(statusOf(await stage.ask(connectText('a.test:80'))), 403);
  });

  test('what the operator allows and the run did not name', async () => {
    using stage = await createEgressStage({ rules: ['*.test:80'], targets: ['a.test:80'] });
    assert.equal(statusOf(await stage.ask(getText('b.test'))), 403);
    assert.equal(stage.decisions[0]?.reason, 'not-named');
  });

  test('mixed answers: one forbidden address is enough, and nothing is connected', async () => {
    using echo = await startEcho();
    const host = `a.test:${echo.port}`;
    for (const answer of [
      ['127.0.0.1', '127.0.0.2'],
      ['169.254.169.254', '127.0.0.1'],
    ]) {
      using stage = await createEgressStage({
        rules: [`${host}=127.0.0.1`],
        answers: { 'a.test': [answer] },
      });
      assert.equal(statusOf(await stage.ask(`${connectText(host)}x`)), 403);
    }
    assert.deepEqual(echo.seen, []);
  });

  test('rebinding: one look-up for each connection, which goes to what was checked', async () => {
    using good = await startOrigin('127.0.0.1', (_request, response) => response.end('good'));
    const host = `a.test:${good.port}`;
    using stage = await createEgressStage({
      rules: [`${host}=127.0.0.1`],
      answers: { 'a.test': [['127.0.0.1'], ['127.0.0.2'], ['127.0.0.1'], ['169.254.169.254']] },
    });
    assert.match(await stage.ask(getText(host)), /good$/);
    assert.deepEqual(stage.lookedUp, ['a.test']);
    assert.equal(statusOf(await stage.ask(connectText(host))), 403);
    assert.match(await stage.ask(getText(host)), /good$/);
    assert.equal(statusOf(await stage.ask(getText(host))), 403);
    assert.equal(good.seen.length, 2);
  });

  test('redirects are the client’s: passed back, and the next request is checked', async () => {
    using secret = await startOrigin('127.0.0.2');
    const inner = `127.0.0.2:${secret.port}`;
    using origin = await startOrigin('127.0.0.1', (_request, response) =>
      response.writeHead(302, { location: `http://${inner}/` }).end(),
    );
    const host = `127.0.0.1:${origin.port}`;
    using stage = await createEgressStage({ rules: [host] });
    const answer = await stage.ask(getText(host));
    assert.equal(statusOf(answer), 302);
    assert.ok(answer.includes(`location: http://${inner}/`));
    assert.equal(statusOf(await stage.ask(getText(inner))), 403);
    assert.deepEqual(secret.seen, []);
  });

  test('names that do not resolve or resolve too slowly, ports where nobody listens', async () => {
    using gone = await startEcho();
    const { port } = gone;
    gone[Symbol.dispose]();
    using stage = await createEgressStage({
      rules: ['none.test:80', 'slow.test:80', `127.0.0.1:${port}`],
      answers: { 'slow.test': ['never'] },
      limits: { connectMs: 50 },
    });
    for (const host of ['none.test:80', 'slow.test:80', `127.0.0.1:${port}`])
      assert.equal(statusOf(await stage.ask(connectText(host))), 502);
    assert.deepEqual(
      stage.decisions.map((decision) => [decision.kind, decision.reason]),
      [
        ['failed', 'not-resolved'],
        ['failed', 'not-resolved'],
        ['failed', 'not-reached'],
      ],
    );
  });
});

describe('hostile clients', () => {
  const host = 'a.test';
  const head = `GET http://${host}/ HTTP/1.1\r\n`;
  const post = `POST http://${host}/ HTTP/1.1\r\nHost: ${host}\r\n`;
  const smuggled = `GET http://${host}/smuggled HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
  const malformed: Readonly<Record<string, string>> = {
    'origin form': `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
    'asterisk form': `OPTIONS * HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
    'another scheme': `GET https://${host}/ HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
    'a file': `GET file:///etc/passwd HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
    'a user in the authority': `GET http://${host}@b.test/ HTTP/1.1\r\nHost: b.test\r\n\r\n`,
    'a backslash in the authority': `GET http://${host}\\@b.test/ HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
    'a fragment': `GET http://${host}/#x HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
    'another Host': `${head}Host: b.test\r\n\r\n`,
    'another port in Host': `${head}Host: ${host}:81\r\n\r\n`,
    'two Hosts': `${head}Host: ${host}\r\nHost: ${host}\r\n\r\n`,
    'no Host': `${head}\r\n`,
    'an empty Host': `${head}Host:\r\n\r\n`,
    'a star': 'GET http://*.test/ HTTP/1.1\r\nHost: *.test\r\n\r\n',
    'a number as host': connectText('2130706433:80'),
    'an octal address': connectText('0177.0.0.1:80'),
    'a hexadecimal address': connectText('0x7f.0.0.1:80'),
    'a short address': connectText('127.1:80'),
    'a zone': connectText('[fe80::1%25lo]:80'),
    'IPv6 without brackets': connectText('::1:80'),
    'CONNECT without a port': connectText(host),
    'CONNECT to port 0': connectText(`${host}:0`),
    'CONNECT to a large port': connectText(`${host}:65616`),
    'CONNECT in absolute form': connectText(`http://${host}:80/`),
    'CONNECT with another Host': `CONNECT ${host}:80 HTTP/1.1\r\nHost: b.test:80\r\n\r\n`,
    'CONNECT with two Hosts': `CONNECT ${host}:80 HTTP/1.1\r\nHost: ${host}:80\r\nHost: b.test\r\n\r\n`,
    'a length and chunks': `${post}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
    'chunks and a length': `${post}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n${smuggled}`,
    'two lengths': `${post}Content-Length: 0\r\nContent-Length: 5\r\n\r\n${smuggled}`,
    'two lengths in one': `${post}Content-Length: 0, 5\r\n\r\n${smuggled}`,
    'a signed length': `${post}Content-Length: +5\r\n\r\nhello`,
    'another coding': `${post}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
    'an unknown coding': `${post}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`,
    'chunked twice': `${post}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    'a coding with a tab': `${post}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n`,
    'chunks in HTTP/1.0': `${post.replace('1.1', '1.0')}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    'a space before the colon': `${post}Content-Length : 5\r\n\r\nhello`,
    'a folded header': `${post}X-A: 1\r\n Content-Length: 5\r\n\r\nhello`,
    'bare line feeds': `${head}Host: ${host}\n\n`,
    'a bare carriage return': `${head}Host: ${host}\rX: y\r\n\r\n`,
    'a NUL in a header': `${head}Host: ${host}\r\nX: a\0b\r\n\r\n`,
    'HTTP/2': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    'HTTP/0.9': `GET http://${host}/\r\n\r\n`,
    TLS: '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
    SOCKS: '\x05\x01\x00',
    'huge headers': `${head}Host: ${host}\r\nX: ${'x'.repeat(100_000)}\r\n\r\n`,
    'many headers': `${head}Host: ${host}\r\n${'X: y\r\n'.repeat(10_000)}\r\n`,
    'a huge target': `GET http://${host}/${'x'.repeat(100_000)} HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
  };
  for (const [what, text] of Object.entries(malformed)) {
    test(`${what}: refused, and nobody is reached`, async () => {
      using stage = await createEgressStage({
        rules: ['*.test:80=127.0.0.1'],
        answers: { 'a.test': loopback, 'b.test': loopback },
      });
      const answer = await stage.ask(text);
      assert.ok(answer === '' || statusOf(answer) === 400, answer.slice(0, 200));
      assert.deepEqual(stage.lookedUp, []);
      assert.equal(stage.proxy.usage().sentBytes, 0);
    });
  }

  test('what cannot be parsed is noted as it came, made harmless', async () => {
    using stage = await createEgressStage({ rules: [] });
    await stage.ask(`CONNECT 2130706433:${'8'.repeat(500)} HTTP/1.1\r\n\r\n`);
    const [record] = stage.proxy.usage().hosts;
    assert.deepEqual([record?.port, record?.reason], [0, 'bad-request']);
    assert.match(record?.host ?? '', /^2130706433:8{189}$/);
  });

  test('pipelining: one request for each connection, the others are not even looked at', async () => {
    using origin = await startOrigin();
    const at = `127.0.0.1:${origin.port}`;
    using stage = await createEgressStage({ rules: [at] });
    const answer = await stage.ask(getText(at, '/1') + getText(at, '/2') + getText('b.test', '/3'));
    assert.equal(answer.match(/HTTP\/1\.1 /g)?.length, 1);
    assert.equal(statusOf(answer), 200);
    const tunnel = await stage.ask(getText(at, '/4') + connectText(at));
    assert.doesNotMatch(tunnel, /established/);
    assert.ok(
      origin.seen.every((seen) => /^GET \/[14]\n/.test(seen)),
      origin.seen.join(),
    );
    assert.ok(stage.proxy.usage().hosts.every((record) => record.host === '127.0.0.1'));
  });

  test('what follows a body within its length is body, never a request', async () => {
    using origin = await startOrigin();
    const at = `127.0.0.1:${origin.port}`;
    using stage = await createEgressStage({ rules: [at] });
    const inner = getText(at, '/smuggled');
    const length = `Content-Length: ${inner.length}`;
    await stage.ask(`POST http://${at}/ HTTP/1.1\r\nHost: ${at}\r\n${length}\r\n\r\n${inner}`);
    await stage.ask(`GET http://${at}/ HTTP/1.1\r\nHost: ${at}\r\n${length}\r\n\r\n${inner}`);
    await stage.ask(getText(at, '/plain') + inner);
    assert.deepEqual(
      origin.seen.map((seen) => seen.split('\n')[0]),
      ['POST /', 'GET /', 'GET /plain'],
    );
  });

  test('slow headers, and no request at all: closed', async () => {
    using stage = await createEgressStage({ rules: [], limits: { headersMs: 50 } });
    assert.equal(await stage.ask(''), '');
    assert.equal(await stage.ask('GET http://a.test/ HTTP/1.1\r\nX: '), '');
  });

  test('a body that never comes, and a tunnel on which nothing moves: closed', async () => {
    using echo = await startEcho();
    using origin = await startOrigin();
    const [tcp, http] = [`127.0.0.1:${echo.port}`, `127.0.0.1:${origin.port}`];
    using stage = await createEgressStage({ rules: [tcp, http], limits: { idleMs: 50 } });
    assert.match(await stage.ask(connectText(tcp)), /established\r\n\r\n$/);
    const late = `POST http://${http}/ HTTP/1.1\r\nHost: ${http}\r\nContent-Length: 10\r\n\r\nx`;
    assert.doesNotMatch(await stage.ask(late), / 200 /);
    await until('no client is left', () => stage.openClients() === 0, { deadlineMs: 20_000 });
  });

  test('1000 connections: most are closed at once, and the proxy goes on', async () => {
    using origin = await startOrigin();
    const at = `127.0.0.1:${origin.port}`;
    using stage = await createEgressStage({ rules: [at], limits: { maxConnections: 10 } });
    const clients = Array.from({ length: 1000 }, () => stage.client('GET '));
    let closed = 0;
    for (const client of clients) client.closed.then(() => closed++);
    await until('all but ten are closed', () => closed === 990, { deadlineMs: 60_000 });
    assert.equal(stage.openClients(), 10);
    for (const { socket } of clients) socket.destroy();
    await until('no client is left', () => stage.openClients() === 0, { deadlineMs: 20_000 });
    assert.equal(statusOf(await stage.ask(getText(at))), 200);
  });

  test('the bytes of a run are limited over all its connections', async () => {
    using echo = await startEcho();
    const at = `127.0.0.1:${echo.port}`;
    using stage = await createEgressStage({ rules: [at], limits: { maxBytes: 1_000_000 } });
    const idle = stage.client(connectText(at));
    await idle.receives('established');
    const greedy = stage.client(connectText(at));
    await greedy.receives('established');
    greedy.socket.write('x'.repeat(20_000_000));
    await Promise.all([greedy.closed, idle.closed]);
    assert.ok(greedy.received.length < 2_000_000, `${greedy.received.length} bytes came back`);
    assert.match(await stage.ask(connectText(at)), / 403 This run has used up its egress bytes/);
    const { sentBytes, receivedBytes } = stage.proxy.usage();
    assert.ok(sentBytes + receivedBytes >= 1_000_000 && receivedBytes < 2_000_000);
  });

  test('more hosts than anybody wants to read are counted without names, and told once each', async () => {
    using stage = await createEgressStage({ rules: [] });
    for (let i = 0; i < 100; i++) await stage.ask(connectText(`h${i % 80}.test:80`));
    const { hosts, omitted } = stage.proxy.usage();
    assert.equal(hosts.length, 64);
    assert.equal(omitted, 16);
    assert.equal(hosts[0]?.count, 2);
    assert.equal(stage.decisions.length, 64);
  });

  test('when the run is over, every connection is', async () => {
    using echo = await startEcho();
    const at = `127.0.0.1:${echo.port}`;
    using stage = await createEgressStage({ rules: [at] });
    const client = stage.client(connectText(at));
    await client.receives('established');
    stage.proxy[Symbol.dispose]();
    await client.closed;
    assert.equal(await stage.ask(connectText(at)), '');
  });
});
