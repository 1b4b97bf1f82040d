import type { FileHandle } from 'node:fs/promises';

/** Writes all of it at this position; repeating it after a failure writes the same. */
export async function writeAt(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    at += (await file.write(bytes, at, bytes.length - at, position + at)).bytesWritten;
  }
}
