import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { HttpStage } from '../../tests/support/http-stage.ts';
import { createHttpStage } from '../../tests/support/http-stage.ts';
import type { LogRecord } from '../model/output-log.ts';
import type { RunId } from '../model/run.ts';
import { formatEventId, isLastPlace, parseEventId } from './event-id.ts';
import { closeWhenStalled, encodeEvent, withPauses } from './event-stream.ts';

async function stageFor(t: TestContext): Promise<HttpStage & { readonly id: RunId }> {
  const stage = await createHttpStage();
  t.after(() => stage.app.close());
  const payload = { command: [] };
  const { id } = (
    await stage.app.inject({ method: 'POST', url: '/v1/runs', headers: stage.ann, payload })
  ).json();
  return { ...stage, id };
}

function output(text: string): LogRecord {
  return { kind: 'output', stream: 'stdout', bytes: Buffer.from(text) };
}

/** The events of a body: their fields by name. */
function eventsIn(body: string): Record<string, string>[] {
  const blocks = body.split('\n\n').filter((block) => block.includes('data: '));
  return blocks.map((block) => Object.fromEntries(block.split('\n').map((line) => line.split(/: (.*)/s))));
}

test('a run is told as events with ids, and nothing comes after finished', async (t) => {
  const { app, runs, ann, id } = await stageFor(t);
  runs.write(id, output('one'));
  runs.write(id, { kind: 'cut', dropped: { stdout: 7, stderr: 0 } });
  const reading = app.inject({ url: `/v1/runs/${id}/events`, headers: ann });
  await runs.waiters(1);
  runs.write(id, output('two'));
  runs.finish(id, { outcome: { kind: 'failed', exitCode: 3 } });
  const reply = await reading;
  assert.equal(reply.headers['content-type'], 'text/event-stream');
  assert.equal(reply.headers['cache-control'], 'no-store');
  assert.match(reply.body, /^retry: 1000\n\n/);
  const events = eventsIn(reply.body);
  assert.deepEqual(
    events.map(({ id, event }) => `${id} ${event}`),
    ['0.queued state', '1.queued output', '2.queued cut', '3.queued output', '3.failed finished'],
  );
  const data = events.map((event) => JSON.parse(event['data'] ?? ''));
  assert.equal(data[0].run.state, 'queued');
  assert.deepEqual(data[1], { type: 'output', stream: 'stdout', base64: 'b25l' });
  assert.deepEqual(data[2], { type: 'cut', dropped: { stdout: 7, stderr: 0 } });
  assert.deepEqual(data[4].run.outcome, { kind: 'failed', exitCode: 3 });
});

test('a reader goes on behind its last event; one that knows all is told to stay away', async (t) => {
  const { app, runs, ann, id } = await stageFor(t);
  runs.write(id, output('one'));
  runs.write(id, output('two'));
  runs.finish(id, { outcome: { kind: 'succeeded' } });
  const after = async (last: string) =>
    app.inject({ url: `/v1/runs/${id}/events`, headers: { ...ann, 'last-event-id': last } });
  assert.deepEqual(
    eventsIn((await after('1.running')).body).map((event) => event['id']),
    ['2.running', '2.succeeded'],
  );
  const nothing = await after('2.succeeded');
  assert.equal(nothing.statusCode, 204);
  assert.equal(nothing.body, '');
  for (const bad of [
    'x',
    '1',
    '-1.queued',
    '1.flying',
    '1.queued.',
    '1e3.queued',
    `${'9'.repeat(16)}.queued`,
  ]) {
    const refused = await after(bad);
    assert.equal(refused.statusCode, 400, bad);
    assert.equal(refused.json().code, 'bad-event-id');
  }
});

test('a run of somebody else is not told', async (t) => {
  const { app, runs, bob, operator, id } = await stageFor(t);
  runs.finish(id, { outcome: { kind: 'succeeded' } });
  const url = `/v1/runs/${id}/events`;
  assert.equal((await app.inject({ url, headers: bob })).statusCode, 404);
  assert.equal((await app.inject({ url })).statusCode, 401);
  assert.equal((await app.inject({ url, headers: operator })).statusCode, 200);
});

test('the headers come at once, though there is nothing to tell; a reader that leaves is forgotten', async (t) => {
  const { app, runs, ann, id } = await stageFor(t);
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as AddressInfo; // it listens on TCP
  for (const path of [`events`, `logs?follow=true`]) {
    const request = http.get({ port, path: `/v1/runs/${id}/${path}`, headers: ann });
    const [response] = await once(request, 'response');
    assert.equal(response.statusCode, 200);
    await runs.waiters(1);
    request.destroy();
    while (runs.followers > 0) await new Promise((resolve) => setImmediate(resolve));
  }
  const lines = { ...ann, accept: 'application/x-ndjson' };
  const request = http.get({ port, path: `/v1/runs/${id}/logs?follow=true`, headers: lines });
  const [response] = await once(request, 'response');
  assert.equal(response.headers['content-type'], 'application/x-ndjson');
  request.destroy();
});

test('ids tell the place, and are read back', () => {
  for (const place of [
    { position: 0, state: undefined },
    { position: 12, state: 'running' },
    { position: 999_999_999_999_999, state: 'output-limit' },
  ] as const) {
    assert.deepEqual(parseEventId(formatEventId(place)), place);
  }
  assert.deepEqual(parseEventId(undefined), { position: 0, state: undefined });
  assert.ok(isLastPlace({ position: 0, state: 'lost' }));
  assert.ok(!isLastPlace({ position: 0, state: 'preparing' }));
});

test('an event is one block, whatever its data is', () => {
  const text = encodeEvent({ id: '1.x', event: 'output', data: { a: 'x\n\ndata: y\r\n' } });
  assert.equal(text, 'id: 1.x\nevent: output\ndata: {"a":"x\\n\\ndata: y\\r\\n"}\n\n');
});

test('silence is filled with pauses, and what comes is passed on in order', async () => {
  const gate = Promise.withResolvers<void>();
  let closed = false;
  async function* source() {
    try {
      yield 1;
      await gate.promise;
      yield 2;
    } finally {
      closed = true;
    }
  }
  const seen: (number | undefined)[] = [];
  for await (const item of withPauses(source(), 5)) {
    seen.push(item);
    if (seen.length === 4) gate.resolve();
  }
  assert.deepEqual(seen.slice(0, 4), [1, undefined, undefined, undefined]);
  assert.deepEqual(
    seen.filter((item) => item !== undefined),
    [1, 2],
  );
  assert.ok(closed);
  async function* failing() {
    yield await Promise.reject(new Error('broken'));
  }
  await assert.rejects(Array.fromAsync(withPauses(failing(), 5)), /broken/);
});

test('a reader that takes nothing is closed, one that only waits is not', async () => {
  const closed = Promise.withResolvers<void>();
  async function* source() {
    yield 1;
    yield 2;
  }
  const stalled = closeWhenStalled(source(), 5, () => closed.resolve());
  await stalled.next();
  await closed.promise;
  await stalled.return(undefined);
  const waited = Promise.withResolvers<void>();
  async function* slow() {
    setTimeout(() => waited.resolve(), 30);
    await waited.promise;
    yield 1;
  }
  const items = await Array.fromAsync(closeWhenStalled(slow(), 10, () => assert.fail('it was closed')));
  assert.deepEqual(items, [1]);
});
