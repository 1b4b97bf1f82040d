/** Takes the request and the script's files off the channel and writes the files below the code directory. */
import { createHash } from 'node:crypto';
import { closeSync, constants, mkdirSync, openSync, writeSync } from 'node:fs';
import { bytesKind, decodeObject, jsonKind, readFrame } from './frames.mjs';
import { maxPieceBytes, parseRequest, RequestError, reserved } from './protocol.mjs';

/**
 * @import { File, Request } from './protocol.mjs'
 */

/**
 * The request, its files verified and written; undefined when the starter closed without one. Throws RequestError,
 * FrameError or a system error when it cannot be honoured.
 *
 * @param {number} channel
 * @param {string} code
 * @returns {Request | undefined}
 */
export function receiveRequest(channel, code) {
  const first = readFrame(channel);
  if (first === undefined) return undefined;
  if (first.kind !== jsonKind) throw new RequestError('The first frame is not a control frame.');
  const request = parseRequest(decodeObject(first.payload));
  for (const file of request.files) receiveFile(channel, code, file);
  const context = create(code, `${reserved}/context.json`);
  writeAndClose(context, () => [Buffer.from(JSON.stringify(request.context))]);
  return request;
}

/** @param {string} code */
export function contextPath(code) {
  return `${code}/${reserved}/context.json`;
}

/**
 * @param {number} channel
 * @param {string} code
 * @param {File} file
 */
function receiveFile(channel, code, file) {
  writeAndClose(create(code, file.path), () => content(channel, file));
}

/**
 * @param {number} channel
 * @param {File} file
 */
function* content(channel, { path, size, sha256 }) {
  const hash = createHash('sha256');
  const shown = JSON.stringify(path.slice(0, 100));
  for (let missing = size; missing > 0; ) {
    const piece = readPiece(channel);
    missing -= piece.length;
    if (missing < 0) throw new RequestError(`More than ${size} bytes came for ${shown}.`);
    hash.update(piece);
    yield piece;
  }
  if (hash.digest('hex') !== sha256)
    throw new RequestError(`The content of ${shown} does not have the sha256 that the request names.`);
}

/** @param {number} channel */
function readPiece(channel) {
  const frame = readFrame(channel, maxPieceBytes);
  if (frame === undefined) throw new RequestError('The channel was closed before all content came.');
  if (frame.kind === bytesKind && frame.payload.length > 0) return frame.payload;
  throw new RequestError('A frame of content is missing, empty or of the wrong kind.');
}

/**
 * A descriptor of the new file; a file or link that is there is refused.
 *
 * @param {string} code
 * @param {string} path
 */
function create(code, path) {
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  const folder = path.slice(0, Math.max(0, path.lastIndexOf('/')));
  try {
    if (folder !== '') mkdirSync(`${code}/${folder}`, { recursive: true });
    return openSync(`${code}/${path}`, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o644);
  } catch (error) {
    const reason = error instanceof Error && 'code' in error ? error.code : error;
    throw new RequestError(`The file ${JSON.stringify(path.slice(0, 100))} cannot be created: ${reason}.`);
  }
}

/**
 * @param {number} target
 * @param {() => Iterable<Buffer>} pieces
 */
function writeAndClose(target, pieces) {
  try {
    for (const piece of pieces()) for (let at = 0; at < piece.length; ) at += writeSync(target, piece, at);
  } finally {
    closeSync(target);
  }
}
