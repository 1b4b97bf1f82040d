import assert from 'node:assert/strict';
import { PassThrough, Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { finished } from 'node:stream/promises';
import { test } from 'node:test';
import { ProgramInput } from './stdin.ts';

test('what was written before the start arrives after it, in order', async () => {
  const [input, sink] = [new ProgramInput(), new PassThrough()];
  input.write('a');
  input.write('b');
  input.connect(sink);
  input.end('c');
  assert.equal(await text(sink), 'abc');
});

test('an end before the start is an end after it', async () => {
  const [input, sink] = [new ProgramInput(), new PassThrough()];
  input.end();
  input.connect(sink);
  assert.equal(await text(sink), '');
});

test('a program that does not read slows the writer down', () => {
  const input = new ProgramInput();
  input.connect(new Writable({ write: () => undefined }));
  let writes = 0;
  while (input.write(Buffer.alloc(16 * 1024)) && writes < 100) writes++;
  assert.ok(writes < 100);
});

test('a program that closes its input, or dies, makes no error: the rest is thrown away', async () => {
  const input = new ProgramInput();
  const sink = new Writable({ write: (_chunk, _encoding, done) => done(new Error('EPIPE')) });
  const closed = new Promise((resolve) => sink.once('close', resolve));
  input.connect(sink);
  input.write('lost');
  await closed;
  input.end(Buffer.alloc(1_000_000));
  await finished(input);
});

test('a write that waits when the program dies ends too', async () => {
  const [input, sink] = [new ProgramInput(), new Writable({ write: () => undefined })];
  input.connect(sink);
  input.end(Buffer.alloc(1_000_000));
  sink.destroy();
  await finished(input);
});

test('input for a program that never started is thrown away', async () => {
  const input = new ProgramInput();
  input.end('x');
  input.close();
  await finished(input);
});
