import assert from 'node:assert/strict';
import { test } from 'node:test';
import vectors from '../../conformance/runner-protocol.json' with { type: 'json' };
import { digestOf } from '../base/digest.ts';
import { isSlipwayError } from '../base/errors.ts';
import type { CodeFile, ScriptProgram } from './program.ts';
import { parseRunnerMessage, toScriptRequest } from './runner-protocol.ts';

const program: ScriptProgram = {
  kind: 'script',
  entry: 'script.py',
  files: [codeFile('script.py', 'pass\n')],
  args: ['a', 'b c'],
  env: { A: 'b' },
  context: null,
  streams: 'merged',
};

function codeFile(path: string, content = ''): CodeFile {
  return { path, digest: digestOf(content), sizeBytes: content.length };
}

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

test('refused: a message nested as deeply as a frame can hold', () => {
  const value = JSON.parse(`{"type":"started","x":${'['.repeat(500_000)}${']'.repeat(500_000)}}`);
  assert.throws(
    () => parseRunnerMessage(value),
    (error) => isSlipwayError(error, 'bad-runner-message'),
  );
});

/** The message of a vector, by its name. */
function expected(name: string): object {
  const vector = vectors.starterToRunnerValid.find((each) => each.name === name);
  assert.ok(vector, `no vector is called ${name}`);
  return vector.message;
}

test('the request is the one of the vectors', () => {
  const files = [...program.files, codeFile('pkg/__init__.py')];
  assert.deepEqual(toScriptRequest(program), expected('arguments and environment'));
  assert.deepEqual(toScriptRequest({ ...program, args: [], env: {} }), expected('smallest'));
  assert.deepEqual(toScriptRequest({ ...program, streams: 'separate' }), expected('separate streams'));
  assert.deepEqual(toScriptRequest({ ...program, context: false }), expected('context false'));
  assert.deepEqual(toScriptRequest({ ...program, files }), expected('several files, one empty'));
});

/** What a program would be that asks for the message of a vector; undefined if no program could. */
function programOf(message: Record<string, unknown>): ScriptProgram | undefined {
  const { entry, files } = message;
  if (typeof entry !== 'string' || !Array.isArray(files)) return undefined;
  return { ...program, entry, files: [codeFile(entry)] };
}

test('paths: what the runner accepts or refuses is accepted or refused here', () => {
  for (const { message } of vectors.starterToRunnerValid) {
    assert.doesNotThrow(() =>
      toScriptRequest({ ...program, entry: message.entry, files: [codeFile(message.entry)] }),
    );
  }
  const otherEntries = vectors.starterToRunnerInvalid
    .map(({ message }) => programOf(message))
    .filter((each) => each !== undefined && !['script.py', 'other.py'].includes(each.entry));
  assert.equal(otherEntries.length, 14);
  for (const each of otherEntries) {
    assert.ok(each);
    assert.throws(
      () => toScriptRequest(each),
      (error) => isBadPath(error) || isBadRequest(error),
      each.entry,
    );
  }
});

const isBadPath = (error: unknown) => isSlipwayError(error, 'bad-path');
const isBadRequest = (error: unknown) => isSlipwayError(error, 'bad-script-request');
const isTooLarge = (error: unknown) => isSlipwayError(error, 'script-too-large');
const manyFiles = Array.from({ length: 256 }, (_, index) => codeFile(`f${index}`));

const refused: ReadonlyArray<readonly [string, Partial<ScriptProgram>, (error: unknown) => boolean]> = [
  ['entry not among the files', { entry: 'other.py' }, isBadRequest],
  ['no files', { files: [] }, isBadRequest],
  ['same path twice', { files: [...program.files, ...program.files] }, isBadPath],
  ['a file that is also a folder', { files: [...program.files, codeFile('script.py/a')] }, isBadPath],
  ["a file in the runner's folder", { files: [...program.files, codeFile('.slipway/a')] }, isBadRequest],
  ['NUL in an argument', { args: ['\0'] }, isBadRequest],
  ['half a surrogate in an argument', { args: ['\ud800'] }, isBadRequest],
  ['environment name empty', { env: { '': 'x' } }, isBadRequest],
  ['environment name with =', { env: { 'A=B': 'x' } }, isBadRequest],
  ['NUL in an environment value', { env: { A: '\0' } }, isBadRequest],
  ['NUL in an environment name', { env: { 'A\0': 'x' } }, isBadRequest],
  ['257 files', { files: [...program.files, ...manyFiles] }, isTooLarge],
  ['over 16 MiB', { files: [...program.files, { ...codeFile('b'), sizeBytes: 2 ** 24 }] }, isTooLarge],
  ['a context over one frame', { context: 'x'.repeat(2 ** 20) }, isTooLarge],
];

for (const [name, change, isExpected] of refused) {
  test(`not requested: ${name}`, () => {
    assert.throws(() => toScriptRequest({ ...program, ...change }), isExpected);
  });
}
