import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { describe, test } from 'node:test';
import { pythonImage } from '../../tests/support/http-doubles.ts';
import type { HttpStage } from '../../tests/support/http-stage.ts';
import { createHttpStage, maxBlobBytes } from '../../tests/support/http-stage.ts';
import { createTemporaryDirectory } from '../../tests/support/temporary-directory.ts';
import { digestOf } from '../base/digest.ts';
import { isSlipwayError } from '../base/errors.ts';
import type { LogRecord } from '../model/output-log.ts';
import type { Client } from './client.ts';
import { createClient } from './client.ts';

interface Pair extends AsyncDisposable {
  readonly stage: HttpStage;
  readonly client: Client;
}

async function connect(): Promise<Pair> {
  const stage = await createHttpStage();
  const url = await stage.app.listen({ host: '127.0.0.1', port: 0 });
  const client = createClient({ url, token: stage.annToken });
  return { stage, client, [Symbol.asyncDispose]: () => stage.app.close() };
}

async function collect<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const all: Item[] = [];
  for await (const item of items) all.push(item);
  return all;
}

async function* chunks(...parts: Buffer[]): AsyncGenerator<Uint8Array> {
  yield* parts;
}

describe('the client', () => {
  test('submits, follows, waits, and reads files', async () => {
    await using pair = await connect();
    const { client, stage } = pair;
    const blob = await client.uploadBlob(chunks(Buffer.from('a,'), Buffer.from('b')));
    assert.deepEqual(blob, { digest: digestOf('a,b'), sizeBytes: 3 });
    const inputs = [{ path: 'x.csv', digest: blob.digest }];
    const run = await client.submitRun({ script: { source: 'x' }, inputs, streams: 'separate' });
    assert.equal(run.state, 'queued');
    const [known] = stage.runs.runs.keys();
    assert.equal(known, run.id);
    const log = collect(client.followLog(run.id));
    const waiting = client.waitRun(run.id);
    const records: LogRecord[] = [
      { kind: 'output', stream: 'stderr', bytes: Buffer.from([0, 255, 10]) },
      { kind: 'cut', dropped: { stdout: 1, stderr: 2 } },
      { kind: 'output', stream: 'stdout', bytes: Buffer.alloc(200_000, 'x') },
    ];
    for (const record of records) stage.runs.write(known, record);
    const png = digestOf('png');
    stage.blobs.contents.set(png, Buffer.from('png'));
    stage.runs.finish(known, {
      outcome: { kind: 'signaled', signal: 'SIGSEGV' },
      files: [{ path: 'ä b/?#.png', digest: png, sizeBytes: 3 }],
    });
    assert.deepEqual(await log, records);
    assert.deepEqual((await waiting).outcome, { kind: 'signaled', signal: 'SIGSEGV' });
    assert.deepEqual(await collect(client.readLog(run.id, { stream: 'stdout' })), [
      { kind: 'cut', dropped: { stdout: 1, stderr: 0 } },
      records[2],
    ]);
    assert.equal((await client.listFiles(run.id)).files[0]?.path, 'ä b/?#.png');
    assert.equal(Buffer.concat(await collect(client.readFile(run.id, 'ä b/?#.png'))).toString(), 'png');
    assert.equal((await client.listRuns({ limit: 1, state: 'signaled' })).runs.length, 1);
    assert.equal((await client.cancelRun(run.id, 'late')).state, 'signaled');
    assert.equal((await client.listImages()).images.length, 2);
    assert.equal((await client.getImage('python')).digest, pythonImage.digest);
    assert.equal((await client.readiness()).ready, true);
  });

  test('turns problem documents into errors of the same kind and code', async () => {
    await using pair = await connect();
    const { client } = pair;
    await assert.rejects(
      client.getRun('run_x'),
      (error) => isSlipwayError(error, 'run-not-found') && error.kind === 'not-found',
    );
    await assert.rejects(client.submitRun({ command: [], image: 'nope' }), (error) =>
      isSlipwayError(error, 'image-not-found'),
    );
    await assert.rejects(collect(client.followLog('run_x')), (error) =>
      isSlipwayError(error, 'run-not-found'),
    );
    await assert.rejects(
      client.uploadBlob(chunks(Buffer.alloc(maxBlobBytes), Buffer.alloc(5_000_000))),
      (error) => isSlipwayError(error, 'blob-too-large') && error.kind === 'too-large',
    );
    const stranger = createClient({ url: client.url });
    await assert.rejects(stranger.listRuns(), (error) => isSlipwayError(error, 'token-missing'));
  });

  test('an abort ends what it waits for, with the reason that was given', async () => {
    await using pair = await connect();
    const run = await pair.client.submitRun({ command: [] });
    const reason = new Error('enough');
    const waiting = new AbortController();
    const wait = pair.client.waitRun(run.id, waiting.signal);
    await pair.stage.runs.waiters(1);
    waiting.abort(reason);
    await assert.rejects(wait, reason);
    await assert.rejects(
      collect(pair.client.followLog(run.id, { signal: AbortSignal.abort(reason) })),
      reason,
    );
  });

  test('speaks over a Unix socket', async () => {
    using directory = createTemporaryDirectory();
    const stage = await createHttpStage();
    const socket = path.join(directory.path, 's');
    await stage.app.listen({ path: socket });
    const client = createClient({ url: `unix:${socket}`, token: stage.annToken });
    assert.deepEqual((await client.listRuns()).runs, []);
    await stage.app.close();
    await assert.rejects(client.listRuns(), (error) => isSlipwayError(error, 'server-unreachable'));
  });

  test('a reply of something else is refused', async () => {
    const bodies = ['{"id":1}', '<html>', '{"type":"output"'];
    const server = http.createServer((_request, response) => response.end(bodies[0]));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo; // it listens on TCP
    const client = createClient({ url: `http://127.0.0.1:${port}` });
    for (let left = bodies.length; left > 0; left--, bodies.shift()) {
      await assert.rejects(client.getRun('x'), (error) => isSlipwayError(error, 'bad-reply'));
      await assert.rejects(collect(client.followLog('x')), (error) => isSlipwayError(error, 'bad-reply'));
    }
    server.close();
    server.closeAllConnections();
  });
});
