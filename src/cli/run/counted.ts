/** Streams whose bytes are counted, for a progress bar that is there from the first to the last of them. */
import type { Progress } from '../progress.ts';
import type { LocalFile } from './backend.ts';

/** The same files; the bar is opened when the first is asked for, and gone after the last. */
export async function* countFiles(
  files: AsyncIterable<LocalFile>,
  open: () => Progress,
): AsyncGenerator<LocalFile> {
  using progress = open();
  for await (const file of files) {
    yield { ...file, read: () => countBytes(file.read(), (bytes) => progress.advance(bytes, file.path)) };
  }
}

/** The same bytes; the bar is opened when the first are asked for, and gone after the last. */
export async function* countStream(
  content: AsyncIterable<Uint8Array>,
  open: () => Progress,
): AsyncGenerator<Uint8Array> {
  using progress = open();
  yield* countBytes(content, (bytes) => progress.advance(bytes));
}

/** The same bytes; `onBytes` is told how many have been taken. */
export async function* countBytes(
  content: AsyncIterable<Uint8Array>,
  onBytes: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of content) {
    yield chunk;
    onBytes(chunk.length);
  }
}

/** The same bytes; `onSlow` is called once if they have not ended after `ms`. */
export async function* noticeSlow(
  content: AsyncIterable<Uint8Array>,
  ms: number,
  onSlow: () => void,
): AsyncGenerator<Uint8Array> {
  const timer = setTimeout(onSlow, ms);
  try {
    yield* content;
  } finally {
    clearTimeout(timer);
  }
}
