/** One execution on the control plane's end: sends the order and the feed, turns the reply into events. */
import { type ClientHttp2Stream, constants } from 'node:http2';
import { encodeJsonFrame, readFrames } from '../../base/frames.ts';
import type { InputFile } from '../../runtime/driver.ts';
import { cancelledEarly } from '../execute-order.ts';
import { Permission } from '../permission.ts';
import type { Execution, ExecutionEvent, ExecutionFeed, ExecutionOrder } from '../starter.ts';
import { exchange, starterGone, toError } from './connection.ts';
import { FrameReader, writeContent, writeFrame, writeMessage } from './frame-stream.ts';
import { parseMessage, type ReplyMessage, replyMessageSchema } from './protocol.ts';

export interface RemoteOrder {
  /** Opens a POST stream to the starter. */
  readonly request: (path: string) => ClientHttp2Stream;
  readonly order: ExecutionOrder;
  readonly feed: ExecutionFeed;
  readonly id: string;
}

export function runRemotely(remote: RemoteOrder, signal: AbortSignal): Execution {
  const permission = new Permission();
  return {
    events: events(remote, permission, signal),
    go: () => permission.go(),
    cancel: (reason, graceMs) => permission.cancel(reason, graceMs),
  };
}

async function* events(
  remote: RemoteOrder,
  permission: Permission,
  signal: AbortSignal,
): AsyncGenerator<ExecutionEvent> {
  const early = AbortSignal.any([signal, permission.cancelledEarly]);
  try {
    early.throwIfAborted();
    yield* converse(remote, permission, { signal, early });
  } catch (error) {
    signal.throwIfAborted();
    if (!permission.cancelledEarly.aborted) throw error;
    yield cancelledEarly(permission.reason ?? 'cancelled');
  }
}

interface Signals {
  readonly signal: AbortSignal;
  /** Also aborts when the execution is cancelled before its program started. */
  readonly early: AbortSignal;
}

async function* converse(
  remote: RemoteOrder,
  permission: Permission,
  { signal, early }: Signals,
): AsyncGenerator<ExecutionEvent> {
  const stream = remote.request(`/v1/executions/${remote.id}`);
  using _closing = closeOnAbort(stream, early);
  // What cannot be sent shows as the end of the reply, or as the starter's error in it.
  const sending = sendFeed(stream, remote).catch((error) => stream.destroy(error));
  for await (const event of replies(stream)) {
    yield event;
    if (event.type !== 'prepared') continue;
    await sending;
    await permission.wait(early);
    permission.whenRunning((reason, graceMs) => cancelRemotely(remote, reason, graceMs));
    sendStdin(stream, remote).catch(() => undefined);
    signal.throwIfAborted();
  }
}

/** Cancelling the stream destroys the sandbox on the other side. */
function closeOnAbort(stream: ClientHttp2Stream, signal: AbortSignal): Disposable {
  const cancel = () => stream.close(constants.NGHTTP2_CANCEL);
  signal.addEventListener('abort', cancel, { once: true });
  return {
    [Symbol.dispose]() {
      signal.removeEventListener('abort', cancel);
      cancel();
    },
  };
}

async function sendFeed(stream: ClientHttp2Stream, { order, feed }: RemoteOrder): Promise<void> {
  await writeMessage(stream, { type: 'order', order });
  for await (const file of feed.code) await sendFile(stream, 'code', file);
  for await (const file of feed.inputs) await sendFile(stream, 'input', file);
  await writeMessage(stream, { type: 'fed' });
}

async function sendFile(stream: ClientHttp2Stream, type: 'code' | 'input', file: InputFile): Promise<void> {
  await writeMessage(stream, { type, path: file.path, sizeBytes: file.sizeBytes });
  await writeContent(stream, file.content);
}

async function sendStdin(stream: ClientHttp2Stream, { order, feed }: RemoteOrder): Promise<void> {
  await writeMessage(stream, { type: 'go' });
  if (order.stdin) await writeContent(stream, feed.stdin);
  await writeFrame(stream, encodeJsonFrame({ type: 'stdin-end' }));
  stream.end();
}

function cancelRemotely(remote: RemoteOrder, reason: string, graceMs: number): void {
  // If the starter is gone, the execution ends as such; there is nobody left to tell.
  exchange(remote.request(`/v1/executions/${remote.id}/cancel`), encodeJsonFrame({ reason, graceMs })).catch(
    () => undefined,
  );
}

async function* replies(stream: ClientHttp2Stream): AsyncGenerator<ExecutionEvent> {
  const reader = new FrameReader(readFrames(chunksOf(stream)));
  for (;;) {
    const value = await reader.message();
    if (value === undefined) throw starterGone();
    const message = parseMessage(replyMessageSchema, value);
    if (message.type === 'done') return;
    yield* toEvents(message, reader);
  }
}

async function* chunksOf(stream: ClientHttp2Stream): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of stream) yield chunk;
  } catch (cause) {
    throw starterGone(cause);
  }
}

async function* toEvents(message: ReplyMessage, reader: FrameReader): AsyncGenerator<ExecutionEvent> {
  switch (message.type) {
    case 'error':
      throw toError(message);
    case 'output':
      for await (const bytes of reader.bytes()) yield { type: 'output', stream: message.stream, bytes };
      return;
    case 'file': {
      const content = reader.bytes();
      yield { ...message, content };
      for await (const _rest of content); // what the consumer left unread
      parseMessage(replyMessageSchema, await reader.message());
      return;
    }
    case 'file-end':
    case 'done':
      return;
    default:
      yield message;
  }
}
