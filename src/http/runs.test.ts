import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pythonImage, usage } from '../../tests/support/http-doubles.ts';
import type { HttpStage } from '../../tests/support/http-stage.ts';
import { createHttpStage } from '../../tests/support/http-stage.ts';
import { digestOf } from '../base/digest.ts';
import type { RunId } from '../model/run.ts';

async function stageFor(t: { after: (end: () => Promise<void>) => void }): Promise<HttpStage> {
  const stage = await createHttpStage();
  t.after(() => stage.app.close());
  return stage;
}

async function submit({ app, ann }: HttpStage, body: object | string = { script: { source: 'print(1)' } }) {
  const payload = typeof body === 'string' ? body : JSON.stringify(body);
  const headers = { ...ann, 'content-type': 'application/json' };
  return app.inject({ method: 'POST', url: '/v1/runs', headers, payload });
}

async function submitted(stage: HttpStage, payload?: object): Promise<RunId> {
  const reply = await submit(stage, payload);
  assert.equal(reply.statusCode, 201, reply.body);
  return reply.json().id;
}

test('a submission pins the image, stores contents as blobs, fills limits and answers 201', async (t) => {
  const stage = await stageFor(t);
  const reply = await submit(stage, {
    script: {
      files: [
        { path: 'main.py', text: 'print("ä")' },
        { path: 'lib/a.py', base64: 'AAH/' },
      ],
      entry: 'main.py',
    },
    args: ['a b', ''],
    env: { KEY: 'v=w' },
    context: { row: [1, null] },
    stdin: { text: 'in' },
    inputs: [{ path: 'd/x.csv', text: 'a,b\n' }],
    outputs: ['*.png'],
    streams: 'separate',
    limits: { wallTimeMs: 5000 },
    labels: { team: 'x' },
  });
  assert.equal(reply.statusCode, 201, reply.body);
  const view = reply.json();
  assert.equal(reply.headers['location'], `/v1/runs/${view.id}`);
  assert.equal(view.state, 'queued');
  assert.equal(view.output, null);
  const order = stage.runs.runs.get(view.id)?.order;
  assert.equal(order?.image, pythonImage.digest);
  assert.equal(order.limits.wallTimeMs, 5000);
  assert.equal(order.limits.pids, 256);
  assert.equal(order.stdin, digestOf('in'));
  assert.deepEqual(order.inputs, [{ path: 'd/x.csv', digest: digestOf('a,b\n'), sizeBytes: 4 }]);
  assert.deepEqual(order.program, {
    kind: 'script',
    entry: 'main.py',
    files: [
      { path: 'main.py', digest: digestOf('print("ä")'), sizeBytes: 11 },
      { path: 'lib/a.py', digest: digestOf(Buffer.from([0, 1, 255])), sizeBytes: 3 },
    ],
    args: ['a b', ''],
    env: { KEY: 'v=w' },
    context: { row: [1, null] },
    streams: 'separate',
  });
  assert.deepEqual([...stage.blobs.contents.keys()].length, 4);
  assert.ok(!reply.body.includes('v=w'), 'the environment is not shown');
});

test('hosts to reach are kept in one spelling and shown; what the site does not allow is refused by name', async (t) => {
  const stage = await stageFor(t);
  const script = { source: 'print(1)' };
  const egress = [
    { host: 'API.Example.org.', port: 443 },
    { host: '*.a.example.net', port: 80 },
  ];
  const reply = await submit(stage, { script, egress, limits: { egressBytes: 1000 } });
  assert.equal(reply.statusCode, 201, reply.body);
  const kept = [{ ...egress[0], host: 'api.example.org' }, egress[1]];
  assert.deepEqual(reply.json().egress, kept);
  assert.equal(reply.json().limits.egressBytes, 1000);
  assert.deepEqual(stage.runs.runs.get(reply.json().id)?.order.egress, kept);
  const plain = await submit(stage);
  assert.deepEqual(plain.json().egress, []);
  assert.equal(stage.runs.runs.get(plain.json().id)?.order.egress, undefined);
  const other = [{ host: 'api.example.org', port: 80 }];
  const refused = await submit(stage, { script: { source: 'print(2)' }, egress: other });
  assert.equal(refused.statusCode, 403);
  assert.equal(refused.json().code, 'egress-not-allowed');
  assert.deepEqual(refused.json().details, other[0]);
  for (const target of [
    { host: '127.1', port: 80 },
    { host: 'a.b', port: 0 },
    { host: 'a.b' },
    { host: 'a:1', port: 1 },
  ])
    assert.equal((await submit(stage, { script, egress: [target] })).statusCode, 400);
  assert.equal(stage.runs.runs.size, 2);
});

test('a command needs no runner, a script does', async (t) => {
  const stage = await stageFor(t);
  const id = await submitted(stage, { command: ['ls', '-l'], image: 'bare' });
  assert.deepEqual(stage.runs.runs.get(id)?.order.program, {
    kind: 'command',
    argv: ['ls', '-l'],
    env: {},
    streams: 'merged',
  });
  const refused = await submit(stage, { script: { source: '' }, image: 'bare' });
  assert.equal(refused.statusCode, 422);
  assert.equal(refused.json().code, 'image-without-runner');
});

test('what is wrong with a submission is listed by JSON pointers, and nothing is stored', async (t) => {
  const stage = await stageFor(t);
  const reply = await submit(stage, {
    script: { source: 'x' },
    limits: { memory: 1, pids: 'many' },
    inputs: [
      { path: '../etc', text: '' },
      { path: 'ok', text: '', base64: '' },
    ],
    env: { 'A=B': '', B: 'a\0' },
    args: ['\ud800'],
  });
  assert.equal(reply.statusCode, 400);
  const pointers = reply.json().details.fields.map((field: { pointer: string }) => field.pointer);
  for (const pointer of [
    '/limits',
    '/limits/pids',
    '/inputs/0/path',
    '/inputs/1',
    '/env/A=B',
    '/env/B',
    '/args/0',
  ]) {
    assert.ok(pointers.includes(pointer), `${pointer} is not among ${pointers}`);
  }
  assert.equal(stage.blobs.contents.size, 0);
});

const refusals: readonly (readonly [string, object | string, number, string])[] = [
  ['both kinds', { script: { source: '' }, command: [] }, 400, 'invalid-request'],
  ['neither kind', {}, 400, 'invalid-request'],
  [
    'source and files',
    { script: { source: '', files: [{ path: 'a', text: '' }], entry: 'a' } },
    400,
    'invalid-request',
  ],
  ['args of a command', { command: ['a'], args: ['b'] }, 400, 'invalid-request'],
  [
    'an entry that is no file',
    { script: { files: [{ path: 'a', text: '' }], entry: 'b' } },
    400,
    'entry-missing',
  ],
  [
    'a path twice',
    {
      command: [],
      inputs: [
        { path: 'a', text: '' },
        { path: 'a', text: '' },
      ],
    },
    400,
    'bad-path',
  ],
  [
    'a file as directory',
    {
      command: [],
      inputs: [
        { path: 'a', text: '' },
        { path: 'a/b', text: '' },
      ],
    },
    400,
    'bad-path',
  ],
  ['bad base64', { command: [], stdin: { base64: 'a' } }, 400, 'invalid-request'],
  ['an unknown blob', { command: [], stdin: { digest: digestOf('?') } }, 400, 'blob-missing'],
  ['an unknown image', { command: [], image: 'nope' }, 404, 'image-not-found'],
  ['too much memory', { command: [], limits: { memoryBytes: 2 ** 39 } }, 403, 'limit-over-ceiling'],
  ['arguments over execve', { command: ['x'.repeat(128 * 1024)] }, 400, 'invalid-request'],
  [
    'a deep context',
    `{"script":{"source":""},"context":${'['.repeat(100_000)}${']'.repeat(100_000)}}`,
    400,
    'invalid-request',
  ],
  ['a large context', { script: { source: '' }, context: 'x'.repeat(513 * 1024) }, 400, 'invalid-request'],
];

for (const [name, payload, status, code] of refusals) {
  test(`a submission is refused: ${name}`, async (t) => {
    const stage = await stageFor(t);
    const reply = await submit(stage, payload);
    assert.equal(reply.json().code, code, reply.body);
    assert.equal(reply.statusCode, status);
    assert.equal(reply.headers['content-type'], 'application/problem+json');
    assert.equal(stage.runs.runs.size, 0);
  });
}

test('a finished run shows outcome, use, files and the end of its output', async (t) => {
  const stage = await stageFor(t);
  const id = await submitted(stage);
  stage.runs.write(id, { kind: 'output', stream: 'stdout', bytes: Buffer.from([0x68, 0x69, 0xff]) });
  stage.runs.finish(id, {
    outcome: { kind: 'failed', exitCode: 3 },
    files: [{ path: 'ü/a b.png', digest: digestOf('png'), sizeBytes: 3 }],
    skipped: [{ path: 'fifo', reason: 'not a regular file' }],
  });
  const view = (await stage.app.inject({ url: `/v1/runs/${id}`, headers: stage.ann })).json();
  assert.deepEqual(view.outcome, { kind: 'failed', exitCode: 3 });
  assert.deepEqual(view.usage, usage);
  assert.deepEqual(view.output, {
    stdout: 'hi\ufffd',
    stderr: '',
    stdoutBytes: 3,
    stderrBytes: 0,
    truncated: false,
  });
  assert.equal(view.files[0].url, `/v1/runs/${id}/files/%C3%BC/a%20b.png`);
  assert.deepEqual(view.skipped, [{ path: 'fifo', reason: 'not a regular file' }]);
  assert.match(view.finishedAt, /^2023-11-14T22:13:\d\d\.500Z$/);
});

test('?wait replies when the run has finished, or with the run as it is', async (t) => {
  const stage = await stageFor(t);
  const id = await submitted(stage);
  const waiting = stage.app.inject({ url: `/v1/runs/${id}?wait=5m`, headers: stage.ann });
  stage.runs.finish(id, { outcome: { kind: 'succeeded' } });
  assert.equal((await waiting).json().state, 'succeeded');
  const other = await submitted(stage);
  const early = await stage.app.inject({ url: `/v1/runs/${other}?wait=10ms`, headers: stage.ann });
  assert.equal(early.json().state, 'queued');
  for (const wait of ['6m', '-1s', 'long']) {
    const refused = await stage.app.inject({ url: `/v1/runs/${other}?wait=${wait}`, headers: stage.ann });
    assert.equal(refused.statusCode, 400);
  }
});

test('runs are listed newest first, in pages, by state', async (t) => {
  const stage = await stageFor(t);
  const ids = [await submitted(stage), await submitted(stage), await submitted(stage)];
  stage.runs.finish(ids[0] ?? 'run_', { outcome: { kind: 'succeeded' } });
  const list = async (query: string) =>
    (await stage.app.inject({ url: `/v1/runs${query}`, headers: stage.ann })).json();
  const first = await list('?limit=2');
  assert.deepEqual(
    first.runs.map((run: { id: string }) => run.id),
    [ids[2], ids[1]],
  );
  const second = await list(`?limit=2&before=${first.next}`);
  assert.deepEqual(
    second.runs.map((run: { id: string }) => run.id),
    [ids[0]],
  );
  assert.equal(second.next, null);
  assert.equal((await list('?state=succeeded')).runs.length, 1);
  for (const query of ['?limit=0', '?limit=1001', '?state=done', '?before=x', '?what=1']) {
    assert.equal((await list(query)).code, 'invalid-request', query);
  }
});

test('cancelling ends a run and changes nothing of a finished one', async (t) => {
  const stage = await stageFor(t);
  const id = await submitted(stage);
  const cancel = () => stage.app.inject({ method: 'POST', url: `/v1/runs/${id}/cancel`, headers: stage.ann });
  assert.deepEqual((await cancel()).json().outcome, { kind: 'cancelled', reason: 'cancelled by ann' });
  assert.equal((await cancel()).statusCode, 200);
});

test('others see nothing of a run, the operator everything', async (t) => {
  const stage = await stageFor(t);
  const id = await submitted(stage);
  const paths = ['', '/logs', '/files', '/files/x'];
  for (const path of paths) {
    const reply = await stage.app.inject({ url: `/v1/runs/${id}${path}`, headers: stage.bob });
    assert.equal(reply.statusCode, 404);
    assert.equal(reply.json().code, 'run-not-found');
  }
  const cancel = { method: 'POST', url: `/v1/runs/${id}/cancel` } as const;
  assert.equal((await stage.app.inject({ ...cancel, headers: stage.bob })).statusCode, 404);
  assert.equal((await stage.app.inject({ url: '/v1/runs', headers: stage.bob })).json().runs.length, 0);
  assert.equal((await stage.app.inject({ url: '/v1/runs', headers: stage.operator })).json().runs.length, 1);
  assert.equal((await stage.app.inject({ ...cancel, headers: stage.operator })).json().state, 'cancelled');
});

test('images are listed, and shown with their packages', async (t) => {
  const stage = await stageFor(t);
  const list = (await stage.app.inject({ url: '/v1/images', headers: stage.ann })).json();
  assert.deepEqual(
    list.images.map((image: { names: string[]; runsScripts: boolean }) => [
      image.names[0],
      image.runsScripts,
    ]),
    [
      ['python', true],
      ['bare', false],
    ],
  );
  const image = await stage.app.inject({ url: `/v1/images/${pythonImage.digest}`, headers: stage.ann });
  assert.deepEqual(image.json().packages, pythonImage.packages);
  assert.equal((await stage.app.inject({ url: '/v1/images/a/b:c', headers: stage.ann })).statusCode, 404);
});
