import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import type { HttpStage } from '../../tests/support/http-stage.ts';
import { createHttpStage, maxBlobBytes } from '../../tests/support/http-stage.ts';
import { digestOf } from '../base/digest.ts';
import type { RunId } from '../model/run.ts';

const allBytes = Buffer.from(Array.from({ length: 256 }, (_, index) => index));

async function stageFor(t: { after: (end: () => Promise<void>) => void }): Promise<HttpStage> {
  const stage = await createHttpStage();
  t.after(() => stage.app.close());
  return stage;
}

async function submitted({ app, ann }: HttpStage): Promise<RunId> {
  const payload = { command: ['x'], streams: 'separate' };
  return (await app.inject({ method: 'POST', url: '/v1/runs', headers: ann, payload })).json().id;
}

async function finishedWithOutput(stage: HttpStage): Promise<RunId> {
  const id = await submitted(stage);
  stage.runs.write(id, { kind: 'output', stream: 'stdout', bytes: allBytes });
  stage.runs.write(id, { kind: 'output', stream: 'stderr', bytes: Buffer.from('oh') });
  stage.runs.write(id, { kind: 'cut', dropped: { stdout: 1000, stderr: 0 } });
  stage.runs.write(id, { kind: 'output', stream: 'stdout', bytes: Buffer.from('end') });
  stage.runs.finish(id, { outcome: { kind: 'succeeded' } });
  return id;
}

test('finished output comes byte for byte, by stream, with what was dropped in a header', async (t) => {
  const stage = await stageFor(t);
  const id = await finishedWithOutput(stage);
  const read = (query: string) =>
    stage.app.inject({ url: `/v1/runs/${id}/logs${query}`, headers: stage.ann });
  const both = await read('');
  assert.deepEqual(both.rawPayload, Buffer.concat([allBytes, Buffer.from('ohend')]));
  assert.equal(both.headers['slipway-dropped-bytes'], '1000');
  assert.equal(both.headers['content-type'], 'application/octet-stream');
  assert.deepEqual((await read('?stream=stdout')).rawPayload, Buffer.concat([allBytes, Buffer.from('end')]));
  const stderr = await read('?stream=stderr&follow=true');
  assert.equal(stderr.body, 'oh');
  assert.equal(stderr.headers['slipway-dropped-bytes'], '0');
  assert.equal((await read('?stream=both')).statusCode, 400);
});

test('as lines of JSON, streams and cuts are told apart', async (t) => {
  const stage = await stageFor(t);
  const id = await finishedWithOutput(stage);
  const headers = { ...stage.ann, accept: 'application/x-ndjson' };
  const reply = await stage.app.inject({ url: `/v1/runs/${id}/logs`, headers });
  const lines = reply.body
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.deepEqual(lines, [
    { type: 'output', stream: 'stdout', base64: allBytes.toString('base64') },
    { type: 'output', stream: 'stderr', base64: 'b2g=' },
    { type: 'cut', dropped: { stdout: 1000, stderr: 0 } },
    { type: 'output', stream: 'stdout', base64: 'ZW5k' },
  ]);
});

test('the view of a run with a cut shows the end only', async (t) => {
  const stage = await stageFor(t);
  const id = await finishedWithOutput(stage);
  const { output } = (await stage.app.inject({ url: `/v1/runs/${id}`, headers: stage.ann })).json();
  assert.deepEqual(output, {
    stdout: 'end',
    stderr: 'oh',
    stdoutBytes: 1259,
    stderrBytes: 2,
    truncated: true,
  });
});

test('following streams live over a real connection and tells what was dropped in a trailer', async (t) => {
  const stage = await stageFor(t);
  const id = await submitted(stage);
  await stage.app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = stage.app.server.address() as AddressInfo; // it listens on TCP
  const request = http.get({ port, path: `/v1/runs/${id}/logs?follow=true`, headers: stage.ann });
  stage.runs.write(id, { kind: 'output', stream: 'stdout', bytes: Buffer.from('first') });
  const [response] = await once(request, 'response');
  const [chunk] = await once(response, 'data');
  assert.equal(String(chunk), 'first');
  stage.runs.write(id, { kind: 'cut', dropped: { stdout: 7, stderr: 0 } });
  stage.runs.finish(id, { outcome: { kind: 'succeeded' } });
  await once(response, 'end');
  assert.equal(response.trailers['slipway-dropped-bytes'], '7');
});

test('stopping the server ends followers and waiters', async () => {
  const stage = await createHttpStage();
  const id = await submitted(stage);
  await stage.app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = stage.app.server.address() as AddressInfo; // it listens on TCP
  const follow = fetch(`http://127.0.0.1:${port}/v1/runs/${id}/logs?follow=true`, { headers: stage.ann });
  const wait = fetch(`http://127.0.0.1:${port}/v1/runs/${id}?wait=5m`, { headers: stage.ann });
  stage.runs.write(id, { kind: 'output', stream: 'stdout', bytes: Buffer.from('x') });
  const followed = await follow;
  const rest = followed.text();
  await stage.runs.waiters(2);
  await stage.app.close();
  const waited = JSON.parse(await (await wait).text());
  assert.equal(waited.state, 'queued');
  assert.equal(await rest, 'x');
});

test('result files are handed out as bytes to be saved, whatever they are called', async (t) => {
  const stage = await stageFor(t);
  const id = await submitted(stage);
  const path = 'a/<script>"\r\nü.html';
  const digest = digestOf('<script>');
  stage.blobs.contents.set(digest, Buffer.from('<script>'));
  stage.runs.finish(id, { outcome: { kind: 'succeeded' }, files: [{ path, digest, sizeBytes: 8 }] });
  const listed = (await stage.app.inject({ url: `/v1/runs/${id}/files`, headers: stage.ann })).json();
  assert.equal(listed.files[0].path, path);
  const reply = await stage.app.inject({ url: listed.files[0].url, headers: stage.ann });
  assert.equal(reply.statusCode, 200);
  assert.equal(reply.body, '<script>');
  assert.equal(reply.headers['content-type'], 'application/octet-stream');
  assert.equal(reply.headers['x-content-type-options'], 'nosniff');
  assert.match(String(reply.headers['content-security-policy']), /default-src 'none'.*sandbox/);
  assert.equal(
    reply.headers['content-disposition'],
    "attachment; filename*=UTF-8''%3Cscript%3E%22%0D%0A%C3%BC.html",
  );
  const missing = await stage.app.inject({ url: `/v1/runs/${id}/files/../../x`, headers: stage.ann });
  assert.equal(missing.statusCode, 404);
});

test('blobs are stored as a stream, up to their limit, and checked against a digest', async (t) => {
  const stage = await stageFor(t);
  const upload = (payload: Buffer, query = '', type = 'application/octet-stream') =>
    stage.app.inject({
      method: 'POST',
      url: `/v1/blobs${query}`,
      headers: { ...stage.ann, 'content-type': type },
      payload,
    });
  const stored = await upload(allBytes);
  assert.equal(stored.statusCode, 201);
  assert.deepEqual(stored.json(), { digest: digestOf(allBytes), sizeBytes: 256 });
  assert.equal((await upload(Buffer.alloc(0))).json().sizeBytes, 0);
  assert.equal((await upload(Buffer.alloc(maxBlobBytes + 1))).statusCode, 413);
  assert.equal((await upload(allBytes, `?digest=${digestOf('x')}`)).json().code, 'digest-mismatch');
  assert.equal((await upload(Buffer.from('{}'), '', 'application/json')).statusCode, 415);
});
