import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { isSlipwayError } from '../../../base/errors.ts';
import { Output } from './output.ts';

const never = new AbortController().signal;

async function textOf(output: Output): Promise<string> {
  let text = '';
  for await (const { stream, bytes } of output.read(never)) text += `${stream}:${Buffer.from(bytes)};`;
  return text;
}

function joined(): { output: Output; stdout: PassThrough; stderr: PassThrough } {
  const [output, stdout, stderr] = [new Output(), new PassThrough(), new PassThrough()];
  output.add('stdout', stdout);
  output.add('stderr', stderr);
  return { output, stdout, stderr };
}

test('gives what comes, by stream, and ends with its streams', async () => {
  const { output, stdout, stderr } = joined();
  const text = textOf(output);
  stdout.write('a');
  await turn();
  stderr.end('b');
  await turn();
  stdout.end('c');
  output.complete();
  assert.equal(await text, 'stdout:a;stderr:b;stdout:c;');
});

test('does not end before its streams do, though no more are added', async () => {
  const { output, stdout, stderr } = joined();
  output.complete();
  const text = textOf(output);
  await turn();
  stderr.end();
  stdout.end('late');
  assert.equal(await text, 'stdout:late;');
});

test('without a reader it takes a bounded amount, and the writer waits', async () => {
  const { output, stdout } = joined();
  const piece = Buffer.alloc(16 * 1024);
  let taken = 0;
  for (; taken < 100 && stdout.write(piece); taken++) await turn();
  assert.ok(taken < 100, 'the writer was never told to wait');
  assert.equal(output.stalled, true);
});

test('once everything inside is dead, the rest is taken in and still read', async () => {
  const { output, stdout, stderr } = joined();
  stdout.end(Buffer.alloc(1_000_000, 'x'));
  stderr.end();
  output.absorb();
  await turn();
  assert.equal(output.stalled, false);
  output.complete();
  let bytes = 0;
  for await (const chunk of output.read(never)) bytes += chunk.bytes.length;
  assert.equal(bytes, 1_000_000);
});

test('a reader that leaves lets the rest flow away', async () => {
  const { output, stdout } = joined();
  stdout.write('first');
  for await (const _ of output.read(never)) break;
  for (let i = 0; i < 100; i++) {
    stdout.write(Buffer.alloc(64 * 1024));
    await turn();
  }
  assert.equal(stdout.readableLength, 0);
});

test('there is one reader', async () => {
  const { output } = joined();
  void output.read(never).next();
  await assert.rejects(output.read(never).next(), (error) => isSlipwayError(error, 'logs-taken'));
});

test('an abort ends the waiting', async () => {
  const controller = new AbortController();
  const next = joined().output.read(controller.signal).next();
  controller.abort(new Error('enough'));
  await assert.rejects(next, /enough/);
});

test('a line of the driver comes after the program', async () => {
  const { output, stdout, stderr } = joined();
  stdout.end('out');
  stderr.end();
  await turn();
  output.say('stderr', 'why');
  output.complete();
  assert.equal(await textOf(output), 'stdout:out;stderr:why;');
});
