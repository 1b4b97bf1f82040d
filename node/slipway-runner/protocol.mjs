/**
 * The runner protocol, version 1: the messages of the runner, and the strict parser of the one request.
 * Source: docs/runner-protocol.md; vectors: conformance/runner-protocol.json.
 */

export const version = '0.1.0';
export const protocol = 1;
export const maxPieceBytes = 64 * 1024;
/** The folder in the code directory that is the runner's own. */
export const reserved = '.slipway';

const maxFiles = 256;
const maxContentBytes = 16 * 1024 * 1024;
const maxPathBytes = 1024;
const maxComponentBytes = 255;

/** The request is wrong; the message says which part, and is sent to the starter. */
export class RequestError extends Error {}

/**
 * A file of the script: `path` below the code directory, `size` in bytes, `sha256` in hex.
 *
 * @typedef {{ path: string, size: number, sha256: string }} File
 */

/**
 * A request that has been checked.
 *
 * @typedef {{
 *   entry: string,
 *   files: File[],
 *   args: string[],
 *   env: Record<string, string>,
 *   context: unknown,
 *   merged: boolean,
 * }} Request
 */

/** @param {string[]} failed names that were to be imported before */
export function readyMessage(failed) {
  return {
    type: 'ready',
    protocol,
    runner: 'slipway-node',
    version,
    language: 'javascript',
    languageVersion: process.versions.node,
    preloaded: [],
    ...(failed.length > 0 ? { preloadFailed: failed } : {}),
  };
}

export function startedMessage() {
  return { type: 'started' };
}

/**
 * `signal` by name if it has one of Linux's signals 1 to 31, else `code`.
 *
 * @param {number} status 0 to 255; 128 + n after signal n
 * @param {string | undefined} signal
 */
export function exitMessage(status, signal) {
  return signal === undefined ? { type: 'exit', code: status } : { type: 'exit', signal };
}

/** @param {string} reason */
export function refusedMessage(reason) {
  return { type: 'refused', reason: reason.slice(0, 1000) };
}

/**
 * Accepts exactly the message `run` of version 1.
 *
 * @param {Record<string, unknown>} message
 * @returns {Request}
 */
export function parseRequest(message) {
  oneOf(message.type, 'type', ['run']);
  oneOf(message.kind, 'kind', ['script']);
  only(message, 'the request', ['type', 'kind', 'entry', 'files', 'args', 'env', 'context', 'streams']);
  const entry = parsePath(message.entry);
  const files = parseFiles(message.files);
  if (!files.some(({ path }) => path === entry))
    throw new RequestError(`entry ${JSON.stringify(entry)} is not among the files.`);
  return {
    entry,
    files,
    args: list(message.args, 'args').map((item) => text(item, 'an argument')),
    env: parseEnv(message.env),
    context: message.context,
    merged: oneOf(message.streams, 'streams', ['merged', 'separate']) === 'merged',
  };
}

/** @param {unknown} value */
export function parsePath(value) {
  const path = text(value, 'a path');
  const parts = path.split('/');
  const isGood =
    parts.every((part) => part !== '' && part !== '.' && part !== '..') &&
    parts.every((part) => Buffer.byteLength(part) <= maxComponentBytes) &&
    Buffer.byteLength(path) <= maxPathBytes;
  if (!isGood) throw new RequestError(`The path ${JSON.stringify(path.slice(0, 100))} cannot be used.`);
  if (parts[0] === reserved) throw new RequestError(`The folder ${reserved} is the runner's own.`);
  return path;
}

/** @param {unknown} value */
function parseFiles(value) {
  const files = list(value, 'files').map(parseFile);
  if (files.length > maxFiles) throw new RequestError(`More than ${maxFiles} files are not allowed.`);
  if (files.reduce((sum, { size }) => sum + size, 0) > maxContentBytes)
    throw new RequestError(`The files have more than ${maxContentBytes} bytes together.`);
  if (new Set(files.map(({ path }) => path)).size < files.length)
    throw new RequestError('Two files have the same path.');
  return files;
}

/**
 * @param {unknown} value
 * @returns {File}
 */
function parseFile(value) {
  const file = object(value, 'a file');
  only(file, 'a file', ['path', 'size', 'sha256']);
  const { size, sha256 } = file;
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0)
    throw new RequestError('The size of a file is not a whole number of bytes.');
  if (typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/.test(sha256))
    throw new RequestError('The sha256 of a file is not 64 lower-case hexadecimal digits.');
  return { path: parsePath(file.path), size, sha256 };
}

/** @param {unknown} value */
function parseEnv(value) {
  const pairs = Object.entries(object(value, 'env')).map(([name, item]) => {
    if (text(name, 'a name in env') === '' || name.includes('='))
      throw new RequestError("A name in env is empty or has '=' in it.");
    return [name, text(item, 'a value in env')];
  });
  return Object.fromEntries(pairs);
}

/**
 * @param {Record<string, unknown>} value
 * @param {string} what
 * @param {readonly string[]} names
 */
function only(value, what, names) {
  for (const name of names)
    if (!Object.hasOwn(value, name)) throw new RequestError(`${name} is missing in ${what}.`);
  const unknown = Object.keys(value).find((name) => !names.includes(name));
  if (unknown !== undefined)
    throw new RequestError(`Unknown in ${what}: ${JSON.stringify(unknown.slice(0, 100))}.`);
}

/**
 * @param {unknown} value
 * @param {string} what
 * @returns {Record<string, unknown>}
 */
function object(value, what) {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  throw new RequestError(`${what} is not an object.`);
}

/**
 * @param {unknown} value
 * @param {string} what
 * @returns {unknown[]}
 */
function list(value, what) {
  if (Array.isArray(value)) return value;
  throw new RequestError(`${what} is not a list.`);
}

/**
 * @param {unknown} value
 * @param {string} what
 */
function text(value, what) {
  if (typeof value !== 'string') throw new RequestError(`${what} is not text.`);
  if (value.includes('\0') || !value.isWellFormed())
    throw new RequestError(`${what} has a NUL or half a surrogate pair in it.`);
  return value;
}

/**
 * @param {unknown} value
 * @param {string} what
 * @param {readonly string[]} allowed
 */
function oneOf(value, what, allowed) {
  if (typeof value === 'string' && allowed.includes(value)) return value;
  throw new RequestError(`${what} is not one of ${allowed.join(', ')}.`);
}
