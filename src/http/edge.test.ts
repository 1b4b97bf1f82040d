import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import net from 'node:net';
import { test } from 'node:test';
import type { HttpStage } from '../../tests/support/http-stage.ts';
import { createHttpStage } from '../../tests/support/http-stage.ts';
import { createTokenSecret } from './token.ts';

async function stageFor(
  t: { after: (end: () => Promise<void>) => void },
  maxBodyBytes?: number,
): Promise<HttpStage> {
  const stage = await createHttpStage(maxBodyBytes);
  t.after(() => stage.app.close());
  return stage;
}

test('every route but the public ones demands a valid token', async (t) => {
  const { app, ann, annToken } = await stageFor(t);
  const open = new Set(['/', '/health', '/ready', '/openapi.json']);
  const paths: Record<string, Record<string, unknown>> = (await app.inject({ url: '/openapi.json' })).json()
    .paths;
  assert.ok(Object.keys(paths).length >= 12);
  for (const [path, operations] of Object.entries(paths)) {
    const methods = Object.keys(operations).map((method) => method.toUpperCase() as 'GET' | 'POST'); // all there are
    for (const method of methods) {
      const reply = await app.inject({ method, url: path });
      assert.equal(reply.statusCode === 401, !open.has(path), `${method} ${path}: ${reply.statusCode}`);
    }
  }
  const statusFor = async (authorization: string) =>
    (await app.inject({ url: '/v1/runs', headers: { authorization } })).statusCode;
  assert.equal(await statusFor(ann.authorization), 200);
  assert.equal(await statusFor(`bearer ${annToken}`), 200);
  for (const bad of [
    `Bearer ${createTokenSecret()}`,
    `Basic ${annToken}`,
    annToken,
    'Bearer',
    `Bearer ${annToken}x`,
  ]) {
    assert.equal(await statusFor(bad), 401, bad);
  }
});

test('readiness tells everybody whether, and callers with a token why not', async (t) => {
  const { app, ann, store, starter } = await stageFor(t);
  assert.deepEqual((await app.inject({ url: '/ready' })).json(), { ready: true });
  store.problems.push(new Error('the disk is full'));
  starter.result = { ...starter.result, usable: false, problems: ['runc is not installed'] };
  await t.test('after the kept answer has lapsed', async () => {
    const fresh = await createHttpStage();
    t.after(() => fresh.app.close());
    fresh.store.problems.push(new Error('the disk is full'));
    fresh.starter.result = starter.result;
    const anonymous = await fresh.app.inject({ url: '/ready' });
    assert.equal(anonymous.statusCode, 503);
    assert.deepEqual(anonymous.json(), { ready: false });
    const known = await fresh.app.inject({ url: '/ready', headers: fresh.ann });
    assert.deepEqual(known.json().parts, [
      { name: 'store', ok: false, problems: ['the disk is full'] },
      { name: 'starter', ok: false, problems: ['runc is not installed'] },
    ]);
  });
  assert.equal(
    (await app.inject({ url: '/ready', headers: ann })).statusCode,
    200,
    'the answer is kept a moment',
  );
});

test('only local names are accepted in the Host header', async (t) => {
  const { app } = await stageFor(t);
  for (const host of ['localhost', 'localhost:7070', '127.0.0.1:1', '[::1]:7070', 'LOCALHOST:80']) {
    assert.equal((await app.inject({ url: '/health', headers: { host } })).statusCode, 200, host);
  }
  for (const host of ['evil.example', '127.0.0.1.evil.example:7070', 'localhost.evil.example', '10.0.0.1']) {
    const reply = await app.inject({ url: '/health', headers: { host } });
    assert.equal(reply.statusCode, 421, host);
    assert.equal(reply.json().code, 'host-not-allowed');
  }
});

test('a page of another origin cannot change anything, and is told nothing by CORS', async (t) => {
  const { app, ann } = await stageFor(t);
  const post = (headers: Record<string, string>) =>
    app.inject({
      method: 'POST',
      url: '/v1/runs',
      headers: { ...ann, host: 'localhost:7070', ...headers },
      payload: { command: [] },
    });
  for (const headers of [
    { origin: 'http://evil.example' },
    { origin: 'null' },
    { origin: 'http://localhost:8080' },
    { 'sec-fetch-site': 'cross-site' },
  ]) {
    const reply = await post(headers);
    assert.equal(reply.statusCode, 403);
    assert.equal(reply.json().code, 'cross-origin');
    assert.equal(reply.headers['access-control-allow-origin'], undefined);
  }
  assert.equal((await post({ origin: 'http://localhost:7070' })).statusCode, 201);
  const preflight = await app.inject({
    method: 'OPTIONS',
    url: '/v1/runs',
    headers: { origin: 'http://evil.example' },
  });
  assert.equal(preflight.headers['access-control-allow-origin'], undefined);
});

test('every failure of HTTP itself is a problem document', async (t) => {
  const { app, ann } = await stageFor(t, 2000);
  const json = { ...ann, 'content-type': 'application/json' };
  const cases = [
    [{ url: '/nope' }, 404, 'route-not-found'],
    [{ method: 'DELETE', url: '/v1/runs' }, 405, 'method-not-allowed'],
    [{ method: 'POST', url: '/v1/runs', headers: json, payload: '{' }, 400, 'bad-json'],
    [{ method: 'POST', url: '/v1/runs', headers: json, payload: '' }, 400, 'bad-json'],
    [{ method: 'POST', url: '/v1/runs', headers: json, payload: '{"__proto__":{}}' }, 400, 'bad-json'],
    [
      {
        method: 'POST',
        url: '/v1/runs',
        headers: json,
        payload: '{"labels":{"constructor":{"prototype":1}}}',
      },
      400,
      'bad-json',
    ],
    [
      { method: 'POST', url: '/v1/runs', headers: { ...ann, 'content-type': 'text/plain' }, payload: 'x' },
      415,
      'unsupported-media-type',
    ],
    [
      { method: 'POST', url: '/v1/runs', headers: json, payload: JSON.stringify('x'.repeat(3000)) },
      413,
      'body-too-large',
    ],
    [{ url: '/v1/runs/%ff', headers: ann }, 400, 'bad-request'],
  ] as const;
  for (const [request, status, code] of cases) {
    const reply = await app.inject(request);
    assert.equal(reply.statusCode, status, `${request.url}: ${reply.body}`);
    assert.equal(reply.headers['content-type'], 'application/problem+json');
    const { code: told, requestId, type } = reply.json();
    assert.equal(told, code);
    assert.equal(type, `urn:slipway:error:${code}`);
    assert.match(requestId, /^req_/);
  }
  const allow = await app.inject({ method: 'DELETE', url: '/v1/runs/x/cancel' });
  assert.equal(allow.headers['allow'], 'POST');
});

test('what failed inside is hidden', async (t) => {
  const { app, ann, runs } = await stageFor(t);
  runs.list = async () => {
    throw new Error('SQLITE_IOERR in /var/lib/slipway/secret.db');
  };
  const reply = await app.inject({ url: '/v1/runs', headers: ann });
  assert.equal(reply.statusCode, 500);
  assert.ok(!reply.body.includes('secret'));
  assert.ok(reply.body.includes(String(reply.headers['slipway-request-id'])));
});

test('what is not HTTP is answered with a problem document too', async (t) => {
  const { app } = await stageFor(t);
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as AddressInfo; // it listens on TCP
  const answerTo = async (bytes: string) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.end(bytes);
    const chunks: Buffer[] = [];
    socket.on('data', (chunk) => chunks.push(chunk));
    await once(socket, 'close');
    return Buffer.concat(chunks).toString();
  };
  assert.match(await answerTo('hello\r\n\r\n'), /^HTTP\/1\.1 400 [\s\S]*"code":"bad-request"/);
  const long = `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`;
  assert.match(await answerTo(long), /^HTTP\/1\.1 431 [\s\S]*"code":"headers-too-large"/);
});

test('a request that the service can no longer answer says so when it stops', async (t) => {
  const { app, starter, ann } = await stageFor(t);
  const asked = Promise.withResolvers<void>();
  // As a remote starter does: it waits until it is told to give up, and throws why.
  starter.resolveImage = async (_reference: string, signal?: AbortSignal) => {
    assert.ok(signal);
    asked.resolve();
    if (!signal.aborted) await once(signal, 'abort');
    throw signal.reason;
  };
  const payload = { script: { source: 'pass' } };
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  const reply = fetch(`${url}/v1/runs`, {
    method: 'POST',
    headers: { ...ann, 'content-type': 'application/json' },
    body: JSON.stringify(payload),
  });
  await asked.promise;
  const closed = app.close();
  assert.equal((await reply).status, 503);
  assert.match(await (await reply).text(), /"code":"service-stopping"/);
  await closed;
});
