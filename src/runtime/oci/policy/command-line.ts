/** The command line and the environment of what a sandbox runs, checked before anything is made. */
import { SlipwayError } from '../../../base/errors.ts';
import type { SandboxSpec } from '../../driver.ts';

/** Linux: MAX_ARG_STRLEN, with the NUL. */
const maxWordBytes = 131_072;
/** Linux takes a quarter of the stack limit, 2 MiB by default, for arguments, environment and pointers to them. */
const maxCommandBytes = 2_000_000;
const pointerBytes = 8;

const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * Streams are merged inside, by the image's shell, because every OCI runtime makes two pipes and their mutual
 * order is lost; the words of the command are passed through untouched.
 */
const mergeScript = 'exec "$@" 2>&1';

/**
 * The arguments of pid 1.
 *
 * @throws SlipwayError `no-command`, `image-has-no-runner`, `image-has-no-shell`, `bad-argument`
 */
export function toCommandLine(spec: SandboxSpec): readonly string[] {
  const words = programWords(spec);
  for (const word of words) assertPassable(word, 'argument');
  if (words[0] === undefined || words[0] === '') throw noCommand(spec);
  if (spec.use.kind !== 'command' || spec.use.streams === 'separate') return words;
  if (!spec.image.hasShell) throw noShell(spec);
  return ['/bin/sh', '-c', mergeScript, 'sh', ...words];
}

function programWords(spec: SandboxSpec): readonly string[] {
  const { image, use } = spec;
  if (use.kind === 'runner') {
    if (image.runner === undefined) throw noRunner(spec);
    return image.runner.argv;
  }
  return use.argv.length > 0 ? use.argv : [...image.entrypoint, ...image.cmd];
}

/**
 * `NAME=value` pairs: the image's, over them what the spec asks. Nothing of the host's.
 *
 * @throws SlipwayError `bad-environment`, `bad-argument`
 */
export function toEnvironment(spec: SandboxSpec): readonly string[] {
  const merged = { PATH: defaultPath, HOME: spec.image.user.home, ...spec.image.env, ...spec.env };
  return Object.entries(merged).map(([name, value]) => {
    if (name === '' || name.includes('=')) throw badName(name);
    assertPassable(name, 'environment variable');
    assertPassable(value, 'environment variable');
    return `${name}=${value}`;
  });
}

/** Linux ends words at NUL; text that is not valid Unicode would be changed on the way. */
function assertPassable(text: string, what: string): void {
  if (text.includes('\0') || !text.isWellFormed())
    throw badWord(text, what, 'contains a NUL or is not valid Unicode');
  if (Buffer.byteLength(text) >= maxWordBytes)
    throw badWord(text, what, `is longer than ${maxWordBytes} bytes`);
}

/**
 * What the kernel would refuse when it is too late to say so.
 *
 * @throws SlipwayError `command-too-long`
 */
export function assertExecutable(spec: SandboxSpec): void {
  const words = [...toCommandLine(spec), ...toEnvironment(spec)];
  const bytes = words.reduce((sum, word) => sum + Buffer.byteLength(word) + 1 + pointerBytes, 0);
  if (bytes <= maxCommandBytes) return;
  throw new SlipwayError(
    'invalid-input',
    'command-too-long',
    `The arguments and the environment have ${bytes} bytes together; Linux takes ${maxCommandBytes}. Put data into files.`,
  );
}

function badWord(text: string, what: string, reason: string): SlipwayError {
  return new SlipwayError(
    'invalid-input',
    'bad-argument',
    `An ${what} ${reason}: ${JSON.stringify(text.slice(0, 100))}. Put data into files.`,
  );
}

function badName(name: string): SlipwayError {
  return new SlipwayError(
    'invalid-input',
    'bad-environment',
    `${JSON.stringify(name.slice(0, 100))} cannot name an environment variable: it is empty or contains "=".`,
  );
}

function noCommand(spec: SandboxSpec): SlipwayError {
  return new SlipwayError(
    'invalid-input',
    'no-command',
    `Nothing to run: no command was given and the image ${spec.image.digest} has none of its own. Give one.`,
  );
}

function noRunner(spec: SandboxSpec): SlipwayError {
  return new SlipwayError(
    'unsupported',
    'image-has-no-runner',
    `The image ${spec.image.digest} contains no runner, so it cannot run scripts. Use an image with one, or run a command.`,
  );
}

function noShell(spec: SandboxSpec): SlipwayError {
  return new SlipwayError(
    'unsupported',
    'image-has-no-shell',
    `The image ${spec.image.digest} has no /bin/sh, which merging stdout and stderr needs. Ask for streams "separate".`,
  );
}
