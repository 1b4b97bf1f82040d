/** One execution on the starter's end: reads the order and what is fed in, writes the events out. */
import type { ServerHttp2Stream } from 'node:http2';
import { readBytes } from '../../base/bytes.ts';
import { SlipwayError, toSlipwayError } from '../../base/errors.ts';
import { encodeBytesFrames, readFrames } from '../../base/frames.ts';
import { scriptLimits } from '../../model/runner-protocol.ts';
import type { InputFile } from '../../runtime/driver.ts';
import { type ScriptFile, toInputFiles } from '../script-code.ts';
import type { Execution, ExecutionEvent, ExecutionFeed, ExecutionOrder, Starter } from '../starter.ts';
import { FrameReader, writeContent, writeFrame, writeMessage } from './frame-stream.ts';
import { parseMessage, type ReplyMessage, type RequestMessage, requestMessageSchema } from './protocol.ts';

export interface ServedExecution {
  readonly starter: Starter;
  readonly stream: ServerHttp2Stream;
  readonly track: (execution: Execution) => void;
}

/** Serves until the last event is written. Never throws: failures go to the caller as an `error` message. */
export async function serveExecution(served: ServedExecution, signal: AbortSignal): Promise<void> {
  try {
    const reader = new FrameReader(readFrames(served.stream));
    const order = await readOrder(reader);
    const request = new RequestReader(reader);
    const execution = served.starter.execute(order, await request.feed(order), signal);
    served.track(execution);
    request.whenFed(() => execution.go());
    for await (const event of execution.events) await writeEvent(served.stream, event, request);
    await writeMessage(served.stream, { type: 'done' } satisfies ReplyMessage);
    served.stream.end();
  } catch (error) {
    await reportFailure(served.stream, error);
  }
}

async function readOrder(reader: FrameReader): Promise<ExecutionOrder> {
  const message = parseMessage(requestMessageSchema, await reader.message());
  if (message.type === 'order') return message.order;
  throw outOfOrder(message);
}

/** Reads the request's parts in their order, as the execution asks for them. */
class RequestReader {
  readonly #reader: FrameReader;
  #next: RequestMessage | undefined;
  #go: (() => void) | undefined;

  constructor(reader: FrameReader) {
    this.#reader = reader;
  }

  async feed(order: ExecutionOrder): Promise<ExecutionFeed> {
    const code = await this.#readCode(order);
    return { code: toInputFiles(code), inputs: this.#inputs(), stdin: this.#reader.bytes() };
  }

  whenFed(go: () => void): void {
    this.#go = go;
  }

  /** After `prepared`: waits for `go` and passes it on. */
  async passPermission(): Promise<void> {
    const message = await this.#take();
    if (message.type !== 'go') throw outOfOrder(message);
    this.#go?.();
  }

  /** Code is held in memory until the runner is ready, so its size is bounded. */
  async #readCode(order: ExecutionOrder): Promise<ScriptFile[]> {
    const code: ScriptFile[] = [];
    let room: number = scriptLimits.maxContentBytes;
    const count = order.program.kind === 'script' ? order.program.files.length : 0;
    while (code.length < count) {
      const message = await this.#take();
      if (message.type !== 'code') throw outOfOrder(message);
      const content = await readBytes(this.#reader.bytes(), room);
      room -= content.length;
      code.push({ path: message.path, content });
    }
    return code;
  }

  async *#inputs(): AsyncGenerator<InputFile> {
    for (;;) {
      const message = await this.#take();
      if (message.type === 'fed') return;
      if (message.type !== 'input') throw outOfOrder(message);
      yield { path: message.path, sizeBytes: message.sizeBytes, content: this.#reader.bytes() };
    }
  }

  async #take(): Promise<RequestMessage> {
    const message = this.#next ?? parseMessage(requestMessageSchema, await this.#reader.message());
    this.#next = undefined;
    return message;
  }
}

async function writeEvent(
  stream: ServerHttp2Stream,
  event: ExecutionEvent,
  request: RequestReader,
): Promise<void> {
  switch (event.type) {
    case 'output':
      await writeMessage(stream, { type: 'output', stream: event.stream });
      for (const frame of encodeBytesFrames(event.bytes, maxOutputPiece)) await writeFrame(stream, frame);
      return;
    case 'file':
      await writeMessage(stream, { type: 'file', path: event.path, sizeBytes: event.sizeBytes });
      await writeContent(stream, event.content);
      return await writeMessage(stream, { type: 'file-end' });
    case 'prepared':
      await writeMessage(stream, event);
      return await request.passPermission();
    default:
      await writeMessage(stream, event);
  }
}

const maxOutputPiece = 256 * 1024;

async function reportFailure(stream: ServerHttp2Stream, thrown: unknown): Promise<void> {
  const { kind, code, message, details } = toSlipwayError(thrown);
  await writeMessage(stream, { type: 'error', kind, code, message, details }).catch(() => undefined);
  stream.end();
}

function outOfOrder(message: RequestMessage): SlipwayError {
  return new SlipwayError('invalid-input', 'bad-starter-message', `"${message.type}" came out of order.`);
}
