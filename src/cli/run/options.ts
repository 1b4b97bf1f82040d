/** The options of `slipway run`, parsed into a request. */
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { InvalidArgumentError } from 'commander';
import { messageOf, SlipwayError } from '../../base/errors.ts';
import type { LimitName } from '../../config/limit-settings.ts';
import { limitWord, parseLimit } from '../../config/limit-settings.ts';
import { nearestOf } from '../../config/nearest.ts';
import { type EgressTarget, parseTarget } from '../../model/egress.ts';
import type { Limits } from '../../model/limits.ts';
import { limitNames } from '../../model/limits.ts';
import type { InputStream } from '../io.ts';
import type { LocalFile, LocalProgram, RunRequest } from './backend.ts';
import type { OnSkipped } from './folder.ts';
import { createLocalFile, createMemoryFile, walkFolder } from './folder.ts';

/** As commander hands them over. */
export interface RunOptions {
  readonly image: string;
  readonly command?: boolean;
  readonly code?: string;
  readonly data?: string;
  readonly out?: string;
  readonly force?: boolean;
  readonly output?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly context?: string;
  readonly stdin?: string;
  readonly separate?: boolean;
  readonly limit?: Partial<Limits>;
  readonly timeout?: number;
  readonly memory?: number;
  readonly cpus?: number;
  readonly egress?: readonly EgressTarget[];
  readonly server?: string;
  readonly raw?: boolean;
  readonly json?: boolean;
}

interface Surroundings {
  readonly stdin: InputStream;
  readonly onSkipped: OnSkipped;
}

/**
 * The request of a command line.
 *
 * @param words the script (or `-`) and its arguments; with `--command` the program and its arguments
 * @throws SlipwayError of kind `invalid-input` on what cannot be used
 */
export async function toRunRequest(
  words: readonly string[],
  options: RunOptions,
  { stdin, onSkipped }: Surroundings,
): Promise<RunRequest> {
  if (options.data !== undefined) await requireFolder(options.data, '--data');
  return {
    image: options.image,
    program: options.command
      ? toCommand(words, options)
      : await toScript(words, options, { stdin, onSkipped }),
    limits: toLimits(options),
    data: options.data === undefined ? nothing() : walkFolder(options.data, onSkipped),
    stdin: await toStdin(words, options, stdin),
    outputs: toOutputs(options),
    egress: options.egress ?? [],
  };
}

function toCommand(words: readonly string[], options: RunOptions): LocalProgram {
  if (options.code !== undefined)
    throw wrongUse('--code belongs to scripts. Give files to a command by --data.');
  if (options.context !== undefined)
    throw wrongUse('--context belongs to scripts. Give data to a command by --stdin or --data.');
  return { kind: 'command', argv: words, env: options.env ?? {}, streams: streamsOf(options) };
}

async function toScript(
  words: readonly string[],
  options: RunOptions,
  around: Surroundings,
): Promise<LocalProgram> {
  const [script, ...args] = words;
  if (script === undefined) throw wrongUse('There is no script to run. Type: slipway run script.py');
  const { files, entry } = await toCode(script, options, around);
  const context = options.context === undefined ? null : await toContext(options.context);
  return { kind: 'script', entry, files, args, env: options.env ?? {}, context, streams: streamsOf(options) };
}

interface Code {
  readonly entry: string;
  readonly files: readonly LocalFile[];
}

async function toCode(
  script: string,
  options: RunOptions,
  { stdin, onSkipped }: Surroundings,
): Promise<Code> {
  if (options.code !== undefined) return toCodeFolder(script, options.code, onSkipped);
  if (script === '-') {
    const entry = nameOfStdin(options.image);
    return { entry, files: [createMemoryFile(entry, await readAll(stdin))] };
  }
  const sizeBytes = await sizeOfFile(script, 'The script');
  const entry = path.basename(script);
  return { entry, files: [createLocalFile(script, entry, sizeBytes)] };
}

/** A script from standard input has no name, and Node goes by one. */
function nameOfStdin(image: string): string {
  return /(^|\/)node([:@]|$)/.test(image) ? 'script.js' : 'script.py';
}

/** The script is named relative to the folder, or to where one stands and then lies inside it. */
async function toCodeFolder(script: string, folder: string, onSkipped: OnSkipped): Promise<Code> {
  await requireFolder(folder, '--code');
  const files: LocalFile[] = [];
  for await (const file of walkFolder(folder, onSkipped)) files.push(file);
  const names = [script, path.relative(folder, script)].map((name) => path.posix.normalize(name));
  const entry = names.find((name) => files.some((file) => file.path === name));
  if (entry !== undefined) return { entry, files };
  throw wrongUse(`The script ${JSON.stringify(script)} is not in the folder ${JSON.stringify(folder)}.`);
}

/** JSON itself, or the name of a file with JSON in it. */
async function toContext(text: string): Promise<unknown> {
  try {
    return JSON.parse(text);
  } catch {
    return readJsonFile(text);
  }
}

async function readJsonFile(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, 'utf8'));
  } catch (cause) {
    throw wrongUse(`--context is neither JSON nor a file with JSON (${messageOf(cause)}).`);
  }
}

async function toStdin(words: readonly string[], options: RunOptions, stdin: InputStream) {
  const isSource = words[0] === '-' && !options.command;
  if (options.stdin === 'none') return undefined;
  if (options.stdin === undefined) return isSource || stdin.isTTY === true ? undefined : stdin;
  if (options.stdin !== '-') {
    return createLocalFile(
      options.stdin,
      'stdin',
      await sizeOfFile(options.stdin, 'The file of --stdin'),
    ).read();
  }
  if (isSource) throw wrongUse('Standard input is the script already; give its input by --stdin FILE.');
  return stdin;
}

function toOutputs({ out, output = [], json }: RunOptions): readonly string[] {
  if (out === undefined && output.length > 0 && !json)
    throw wrongUse('--output needs --out DIR, where the files go.');
  if (out === undefined) return output;
  return output.length > 0 ? output : ['**'];
}

function toLimits({ limit, timeout, memory, cpus }: RunOptions): Partial<Limits> {
  return {
    ...limit,
    ...(timeout !== undefined && { wallTimeMs: timeout }),
    ...(memory !== undefined && { memoryBytes: memory }),
    ...(cpus !== undefined && { cpus }),
  };
}

function streamsOf({ separate }: RunOptions): LocalProgram['streams'] {
  return separate ? 'separate' : 'merged';
}

/** A parser of one limit, for commander. */
export function limitOption(name: LimitName): (text: string) => number {
  return (text) => {
    try {
      return parseLimit(name, text);
    } catch (error) {
      throw new InvalidArgumentError(messageOf(error));
    }
  };
}

/** `--limit pids=64`, repeated. */
export function addLimit(text: string, limits: Partial<Limits> = {}): Partial<Limits> {
  const [word = '', value = ''] = splitAt(text, '=');
  const name = limitNames.find((candidate) => limitWord(candidate) === word);
  if (name !== undefined) return { ...limits, [name]: limitOption(name)(value) };
  const words = limitNames.map(limitWord);
  const nearest = nearestOf(word, words);
  const hint = nearest === undefined ? `There are ${words.join(', ')}.` : `Do you mean ${nearest}?`;
  throw new InvalidArgumentError(`There is no limit ${JSON.stringify(word)}. ${hint}`);
}

/** `--env NAME=VALUE`, repeated. */
export function addVariable(
  text: string,
  env: Readonly<Record<string, string>> = {},
): Record<string, string> {
  const [name = '', value] = splitAt(text, '=');
  if (name === '' || value === undefined) throw new InvalidArgumentError('Write NAME=VALUE.');
  return { ...env, [name]: value };
}

/** `--egress HOST:PORT`, repeated. */
export function addTarget(text: string, all: readonly EgressTarget[] = []): readonly EgressTarget[] {
  try {
    return [...all, parseTarget(text)];
  } catch (error) {
    throw new InvalidArgumentError(messageOf(error));
  }
}

/** Options that may be given again. */
export function addText(text: string, all: readonly string[] = []): readonly string[] {
  return [...all, text];
}

function splitAt(text: string, mark: string): readonly string[] {
  const at = text.indexOf(mark);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + mark.length)];
}

async function requireFolder(folder: string, option: string): Promise<void> {
  const stats = await stat(folder).catch(() => undefined);
  if (!stats?.isDirectory()) throw wrongUse(`${option}: there is no folder ${JSON.stringify(folder)}.`);
}

async function sizeOfFile(file: string, what: string): Promise<number> {
  const stats = await stat(file).catch(() => undefined);
  if (stats?.isFile()) return stats.size;
  throw wrongUse(`${what} ${JSON.stringify(file)} is not a file that can be read.`);
}

async function readAll(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

async function* nothing(): AsyncGenerator<never> {}

function wrongUse(message: string): SlipwayError {
  return new SlipwayError('invalid-input', 'bad-command-line', message);
}
