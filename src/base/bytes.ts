/** Streams of bytes read into memory, with a cap. */
import { SlipwayError } from './errors.ts';

/** @throws SlipwayError `content-too-large` as soon as there is more than `maxBytes` */
export async function readBytes(content: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of content) {
    size += piece.length;
    if (size > maxBytes) {
      throw new SlipwayError('too-large', 'content-too-large', `There are more than ${maxBytes} bytes.`, {
        details: { maxBytes },
      });
    }
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}
