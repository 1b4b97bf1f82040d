import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, test } from 'node:test';
import { createHttpStage } from '../../tests/support/http-stage.ts';
import { isSlipwayError } from '../base/errors.ts';
import { createClient } from './client.ts';
import type { RunUpdate } from './follow-run.ts';

type Answer = (response: http.ServerResponse, lastEventId: string | undefined) => void;

/** A server that gives one answer after the other, and keeps what it was asked with. */
async function serve(answers: readonly Answer[]) {
  const asked: (string | undefined)[] = [];
  const server = http.createServer((request, response) => {
    const last = request.headers['last-event-id'];
    asked.push(typeof last === 'string' ? last : undefined);
    answers[Math.min(asked.length, answers.length) - 1]?.(response, asked.at(-1));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo; // it listens on TCP
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { client: createClient({ url: `http://127.0.0.1:${port}` }), asked, [Symbol.dispose]: close };
}

function events(...items: readonly (readonly [id: string, data: object])[]): string {
  return items.map(([id, data]) => `id: ${id}\ndata: ${JSON.stringify(data)}\n\n`).join('');
}

const text = (base64: string) => ({ type: 'output', stream: 'stdout', base64 });
const headers = { 'content-type': 'text/event-stream' };

/** Sends this, and breaks the connection. */
function breakAfter(body: string): Answer {
  return (response) => {
    response.writeHead(200, headers);
    response.write(body, () => response.destroy());
  };
}

/** The summary of a finished run, as a real server sends it. */
async function finishedRun(): Promise<object> {
  const stage = await createHttpStage();
  const request = { method: 'POST', url: '/v1/runs', headers: stage.ann, payload: { command: [] } } as const;
  const { id } = (await stage.app.inject(request)).json();
  stage.runs.finish(id, { outcome: { kind: 'succeeded' } });
  const list = await stage.app.inject({ url: '/v1/runs', headers: stage.ann });
  await stage.app.close();
  return list.json().runs[0];
}

function seen(updates: readonly RunUpdate[]): string[] {
  return updates.map((update) =>
    update.kind === 'output' ? Buffer.from(update.bytes).toString() : update.kind,
  );
}

describe('following over lost connections', () => {
  test('goes on behind the last whole event, and says once that it was lost', async () => {
    const end = events(['9.succeeded', { type: 'finished', run: await finishedRun() }]);
    const refuse: Answer = (response) => {
      const problem = { type: '', title: '', status: 503, detail: 'Stopping.', code: 'engine-stopping' };
      response.writeHead(503, { 'content-type': 'application/problem+json' });
      response.end(JSON.stringify({ ...problem, kind: 'unavailable', requestId: '' }));
    };
    const half = events(['2.running', text('dHdv')]);
    using server = await serve([
      breakAfter(events(['1.running', text('b25l')]) + half.slice(0, -1)),
      refuse,
      (response) => response.destroy(),
      (response) => response.writeHead(200, headers).end(half),
      (response) => response.writeHead(200, headers).end(`:\n\n${end}`),
    ]);
    const lost: string[] = [];
    const options = { onLost: (reason: string) => void lost.push(reason) };
    const updates = await Array.fromAsync(server.client.followRun('run_x', options));
    assert.deepEqual(seen(updates), ['one', 'two', 'finished']);
    assert.deepEqual(server.asked, [undefined, '1.running', '1.running', '1.running', '2.running']);
    assert.equal(lost.length, 2, lost.join('\n'));
    for (const reason of lost) assert.match(reason, /^The connection to the server is lost: .*\.$/);
  });

  test('ends with what the server refuses, and with what it cannot understand', async () => {
    const notFound: Answer = (response) => {
      const problem = { type: '', title: '', status: 404, detail: 'Gone.', code: 'run-not-found' };
      response.writeHead(404);
      response.end(JSON.stringify({ ...problem, kind: 'not-found', requestId: '' }));
    };
    const first = breakAfter(events(['1.running', text('b25l')]));
    for (const [answer, code] of [
      [notFound, 'run-not-found'],
      [breakAfter(events(['2.running', { type: 'what' }])), 'bad-reply'],
      [(response) => response.end('<html>'), 'bad-reply'],
    ] as readonly (readonly [Answer, string])[]) {
      using server = await serve([first, answer]);
      const following = Array.fromAsync(server.client.followRun('run_x'));
      await assert.rejects(following, (error) => isSlipwayError(error, code));
      assert.equal(server.asked.length, 2);
    }
  });

  test('does not try again where nothing was ever there', async () => {
    using server = await serve([(response) => response.destroy()]);
    await assert.rejects(Array.fromAsync(server.client.followRun('run_x')), (error) =>
      isSlipwayError(error, 'server-unreachable'),
    );
    assert.equal(server.asked.length, 1);
  });

  test('an abort ends it while it waits to connect again', async () => {
    using server = await serve([
      breakAfter(events(['1.running', text('b25l')])),
      (response) => response.destroy(),
    ]);
    const leaving = new AbortController();
    const reason = new Error('enough');
    const onLost = () => leaving.abort(reason);
    const following = Array.fromAsync(server.client.followRun('x', { signal: leaving.signal, onLost }));
    await assert.rejects(following, reason);
  });
});
