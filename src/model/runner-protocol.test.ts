import assert from 'node:assert/strict';
import { test } from 'node:test';
import vectors from '../../conformance/runner-protocol.json' with { type: 'json' };
import { isSlipwayError } from '../base/errors.ts';
import { readFrames } from '../base/frames.ts';
import {
  buildRunMessage,
  encodeRunRequest,
  parseRunnerMessage,
  parseScriptPath,
  type ScriptRequest,
} from './runner-protocol.ts';

const request: ScriptRequest = {
  entry: 'script.py',
  files: [{ path: 'script.py', content: Buffer.from('pass\n') }],
  args: ['a', 'b c'],
  env: { A: 'b' },
  context: null,
  streams: 'merged',
};

for (const { name, message } of vectors.runnerToStarterValid) {
  test(`accepted: ${name}`, () => {
    const defaults = message.type === 'ready' ? { preloadFailed: [] } : {};
    assert.deepEqual(parseRunnerMessage(message), { ...defaults, ...message });
  });
}

for (const { name, message } of vectors.runnerToStarterInvalid) {
  test(`refused: ${name}`, () => {
    assert.throws(
      () => parseRunnerMessage(message),
      (error) => isSlipwayError(error, 'bad-runner-message') && JSON.stringify(error.details).length < 1000,
    );
  });
}

/** The message of a vector, by its name. */
function expected(name: string): object {
  const vector = vectors.starterToRunnerValid.find((each) => each.name === name);
  assert.ok(vector, `no vector is called ${name}`);
  return vector.message;
}

test('the built message is the one of the vectors', () => {
  const files = [...request.files, { path: 'pkg/__init__.py', content: new Uint8Array() }];
  assert.deepEqual(buildRunMessage(request), expected('arguments and environment'));
  assert.deepEqual(buildRunMessage({ ...request, args: [], env: {} }), expected('smallest'));
  assert.deepEqual(buildRunMessage({ ...request, streams: 'separate' }), expected('separate streams'));
  assert.deepEqual(buildRunMessage({ ...request, context: false }), expected('context false'));
  assert.deepEqual(buildRunMessage({ ...request, files }), expected('several files, one empty'));
  assert.deepEqual(buildRunMessage({ ...request, context: undefined }), buildRunMessage(request));
});

test('paths: the builder accepts and refuses what the runner does', () => {
  for (const { message } of vectors.starterToRunnerValid) {
    assert.equal(parseScriptPath(message.entry), message.entry);
  }
  const bad = vectors.starterToRunnerInvalid.filter(({ name }) =>
    /path|parent|dot|empty comp|slash|folder|component of|128/.test(name),
  );
  const isRefused = ({ message }: (typeof bad)[number]) => {
    const { entry } = message;
    if (entry === undefined || entry === 'script.py') return;
    assert.throws(() => parseScriptPath(entry), isBadRequest, entry);
    return entry;
  };
  assert.ok(new Set(bad.map(isRefused)).size >= 15);
});

const isBadRequest = (error: unknown) => isSlipwayError(error, 'bad-script-request');
const isTooLarge = (error: unknown) => isSlipwayError(error, 'script-too-large');
const empty = (path: string) => ({ path, content: new Uint8Array() });

const refused: ReadonlyArray<readonly [string, Partial<ScriptRequest>, (error: unknown) => boolean]> = [
  ['entry not among the files', { entry: 'other.py' }, isBadRequest],
  ['no files', { files: [] }, isBadRequest],
  ['same path twice', { files: [...request.files, ...request.files] }, isBadRequest],
  ['NUL in an argument', { args: ['\0'] }, isBadRequest],
  ['half a surrogate in an argument', { args: ['\ud800'] }, isBadRequest],
  ['environment name empty', { env: { '': 'x' } }, isBadRequest],
  ['environment name with =', { env: { 'A=B': 'x' } }, isBadRequest],
  ['NUL in an environment value', { env: { A: '\0' } }, isBadRequest],
  ['NUL in an environment name', { env: { 'A\0': 'x' } }, isBadRequest],
  [
    '257 files',
    { files: [...request.files, ...Array.from({ length: 256 }, (_, i) => empty(`f${i}`))] },
    isTooLarge,
  ],
  ['over 16 MiB', { files: [...request.files, { path: 'b', content: new Uint8Array(2 ** 24) }] }, isTooLarge],
  ['a context over one frame', { context: 'x'.repeat(2 ** 20) }, isTooLarge],
];

for (const [name, change, isExpected] of refused) {
  test(`not built: ${name}`, () => {
    assert.throws(() => encodeRunRequest({ ...request, ...change }), isExpected);
  });
}

test('a request is one control frame, then the contents in order, in small pieces', async () => {
  const large = Buffer.alloc(150_000, 'x');
  const files = [...request.files, empty('empty'), { path: 'large', content: large }];
  const frames = [];
  async function* bytes() {
    yield* encodeRunRequest({ ...request, files });
  }
  for await (const frame of readFrames(bytes())) frames.push(frame);
  const [first, ...rest] = frames;
  assert.deepEqual(first, { kind: 'json', value: buildRunMessage({ ...request, files }) });
  const pieces = rest.flatMap((frame) => (frame.kind === 'bytes' ? [Buffer.from(frame.bytes)] : []));
  assert.deepEqual(
    pieces.map((piece) => piece.length),
    [5, 65_536, 65_536, 18_928],
  );
  assert.deepEqual(Buffer.concat(pieces), Buffer.concat([Buffer.from('pass\n'), large]));
});
