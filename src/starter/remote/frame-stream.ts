/** Frames over one stream of the starter protocol: writing waits for room, reading keeps content in its place. */
import type { Duplex } from 'node:stream';
import { SlipwayError } from '../../base/errors.ts';
import { encodeBytesFrames, encodeJsonFrame, type Frame } from '../../base/frames.ts';

/** Writes one frame and waits until the stream has room again. @throws when the stream is gone */
export async function writeFrame(stream: Duplex, frame: Buffer): Promise<void> {
  if (stream.destroyed || stream.writableEnded) throw gone();
  if (stream.write(frame)) return;
  await new Promise<void>((resolve, reject) => {
    const settle = () => {
      stream.off('drain', settle);
      stream.off('close', settle);
      if (stream.destroyed) reject(gone());
      else resolve();
    };
    stream.on('drain', settle);
    stream.on('close', settle);
  });
}

export async function writeMessage(stream: Duplex, message: object): Promise<void> {
  await writeFrame(stream, encodeJsonFrame(message));
}

export async function writeContent(stream: Duplex, content: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const piece of content) {
    for (const frame of encodeBytesFrames(piece)) await writeFrame(stream, frame);
  }
}

/** A reader of frames that lets one look for bytes until the next message. */
export class FrameReader {
  readonly #frames: AsyncIterator<Frame>;
  #held: Record<string, unknown> | undefined;

  constructor(frames: AsyncIterator<Frame>) {
    this.#frames = frames;
  }

  /** The next message, or undefined at the end. @throws SlipwayError if bytes come instead */
  async message(): Promise<Record<string, unknown> | undefined> {
    const held = this.#held;
    this.#held = undefined;
    if (held !== undefined) return held;
    const next = await this.#frames.next();
    if (next.done) return undefined;
    if (next.value.kind === 'json') return next.value.value;
    throw new SlipwayError(
      'invalid-input',
      'bad-starter-message',
      'Bytes came where a message was expected.',
    );
  }

  /** The bytes up to the next message, which stays for `message`. */
  async *bytes(): AsyncGenerator<Uint8Array> {
    while (this.#held === undefined) {
      const next = await this.#frames.next();
      if (next.done) return;
      if (next.value.kind === 'json') this.#held = next.value.value;
      else yield next.value.bytes;
    }
  }
}

function gone(): SlipwayError {
  return new SlipwayError('unavailable', 'starter-unavailable', 'The connection to the starter is gone.');
}
