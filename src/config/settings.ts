/** Every setting of Slipway. docs/config.md lists the same ones; a test compares the two. */
import { availableParallelism } from 'node:os';
import { parseDuration, parseSize } from '../base/units.ts';
import type { ControlName } from '../model/control.ts';
import { controlNames } from '../model/control.ts';
import { defaultCeilings, defaultLimits } from '../model/limits.ts';
import { limitSettings } from './limit-settings.ts';
import * as parsers from './parsers.ts';
import type { Setting } from './setting.ts';

/** Log levels of pino, from the quietest. */
const logLevels = ['silent', 'fatal', 'error', 'warn', 'info', 'debug', 'trace'] as const;

/** Ids above those that Debian (subuid) and systemd (containers) give out; 1024 sandboxes of 65 536 ids. */
const firstId = 1_900_000_000;
const idsPerSandbox = 65_536;

/** An empty text means "not set" everywhere, so an optional setting parses only what is there. */
function optional<Value>(parse: (text: string) => Value): (text: string) => Value | undefined {
  return (text) => (text === '' ? undefined : parse(text));
}

const serviceSettings = {
  stateDir: {
    name: 'SLIPWAY_STATE_DIR',
    shape: 'an absolute path',
    initial: '/var/lib/slipway',
    meaning: 'Where everything lives that must survive a restart: runs, blobs, images, the admin token.',
    parse: parsers.parseAbsolutePath,
  },
  imagesDir: {
    name: 'SLIPWAY_IMAGES_DIR',
    shape: 'an absolute path',
    initial: '',
    meaning: 'The local image store; several installs may share one. Not set: `images` in SLIPWAY_STATE_DIR.',
    parse: optional(parsers.parseAbsolutePath),
  },
  registries: {
    name: 'SLIPWAY_REGISTRIES',
    shape: 'names with commas between them, such as `registry.example.com` or `docker.io/library`',
    initial: '',
    meaning:
      'Registries, or parts of them, that images may be pulled from, bases of builds too. Not set: nothing.',
    parse: parsers.parseRegistries,
  },
  imageKeysDir: {
    name: 'SLIPWAY_IMAGE_KEYS',
    shape: 'an absolute path',
    initial: '',
    meaning:
      'Directory of public keys that pulled images must be signed with (docs/images.md). Not set: no signature is needed.',
    parse: optional(parsers.parseAbsolutePath),
  },
  egress: {
    name: 'SLIPWAY_EGRESS',
    shape: 'HOST:PORT with commas between them, such as `pypi.org:443,*.example.org:443`',
    initial: '',
    meaning:
      'Hosts that runs may ask to reach (docs/egress.md). Not set: nothing, and no sandbox has any network.',
    parse: parsers.parseEgressRules,
  },
  runtimeDir: {
    name: 'SLIPWAY_RUNTIME_DIR',
    shape: 'an absolute path',
    initial: '/run/slipway',
    meaning: 'Where running sandboxes and sockets live; may be lost with the machine.',
    parse: parsers.parseAbsolutePath,
  },
  listen: {
    name: 'SLIPWAY_LISTEN',
    shape: 'a loopback HOST:PORT (port 0: any free one), or the absolute path of a Unix socket',
    initial: '127.0.0.1:7070',
    meaning: 'Where the HTTP API listens.',
    parse: parsers.parseListen,
  },
  concurrency: {
    name: 'SLIPWAY_CONCURRENCY',
    shape: 'a whole number, or `cpus` for one per processor',
    initial: 'cpus',
    meaning: 'How many sandboxes run at the same time.',
    parse: (text: string) => (text === 'cpus' ? availableParallelism() : parsers.wholeNumber(1, 4096)(text)),
  },
  runtime: {
    name: 'SLIPWAY_RUNTIME',
    shape: 'a program name or an absolute path',
    initial: 'runc',
    meaning: 'The OCI runtime that makes sandboxes.',
    parse: parsers.parseProgram,
  },
  without: {
    name: 'SLIPWAY_WITHOUT',
    shape: `control names with commas between them, of: ${controlNames.join(', ')}`,
    initial: '',
    meaning: 'Security controls to do without where this host lacks them; each makes every sandbox weaker.',
    parse: (text: string): readonly ControlName[] => parsers.parseControlNames(text),
  },
  idBase: {
    name: 'SLIPWAY_ID_BASE',
    shape: 'a whole number',
    initial: String(firstId),
    meaning: 'The first user and group id of the range that sandboxes use; nothing else may use it.',
    parse: parsers.wholeNumber(65_536, 4_294_000_000),
  },
  idCount: {
    name: 'SLIPWAY_ID_COUNT',
    shape: `a whole number, a multiple of ${idsPerSandbox}`,
    initial: String(1024 * idsPerSandbox),
    meaning: `How many ids that range has; each sandbox takes ${idsPerSandbox}.`,
    parse: parseIdCount,
  },
  workLoopThresholdBytes: {
    name: 'SLIPWAY_WORK_LOOP_THRESHOLD',
    shape: 'a size such as 512mb',
    initial: '512mib',
    meaning: 'A /work larger than this lies on disk (a loop-mounted file) and not in memory.',
    parse: parseSize,
  },
  warmMax: {
    name: 'SLIPWAY_WARM_MAX',
    shape: 'a whole number; 0: none',
    initial: '2',
    meaning: 'How many started sandboxes are kept ready for each image and set of limits that scripts use.',
    parse: parsers.wholeNumber(0, 1000),
  },
  warmMemoryBytes: {
    name: 'SLIPWAY_WARM_MEMORY',
    shape: 'a size such as 512mb',
    initial: '512mib',
    meaning: 'How much memory the sandboxes that are kept ready may hold together.',
    parse: parseSize,
  },
  warmIdleMs: {
    name: 'SLIPWAY_WARM_IDLE',
    shape: 'a duration such as 60s',
    initial: '60s',
    meaning: 'A sandbox that is kept ready for so long without being used is removed.',
    parse: parseDuration,
  },
  logLevel: {
    name: 'SLIPWAY_LOG_LEVEL',
    shape: `one of ${logLevels.join(', ')}`,
    initial: 'info',
    meaning: 'How much the service logs, as JSON lines on stderr.',
    parse: parsers.oneOf(logLevels),
  },
} as const satisfies Record<string, Setting<unknown>>;

const clientSettings = {
  url: {
    name: 'SLIPWAY_URL',
    shape: 'a URL such as http://127.0.0.1:7070, or unix:/path/of/the/socket',
    initial: '',
    meaning: 'The server that the CLI talks to; with it `slipway run` runs there.',
    parse: optional(parsers.parseServerUrl),
  },
  token: {
    name: 'SLIPWAY_TOKEN',
    shape: 'a token, `slw_…`',
    initial: '',
    meaning: 'The token that the CLI presents.',
    parse: optional((text) => text),
  },
  tokenFile: {
    name: 'SLIPWAY_TOKEN_FILE',
    shape: 'an absolute path',
    initial: '',
    meaning: 'A file with that token; without it the admin token of this machine is tried.',
    parse: optional(parsers.parseAbsolutePath),
  },
} as const satisfies Record<string, Setting<unknown>>;

/** The sections of docs/config.md. */
export const settings = {
  service: serviceSettings,
  defaults: limitSettings('DEFAULT', defaultLimits),
  ceilings: limitSettings('MAX', defaultCeilings),
  client: clientSettings,
} as const;

export const allSettings: readonly Setting<unknown>[] = Object.values(settings).flatMap((section) =>
  Object.values(section),
);

function parseIdCount(text: string): number {
  const count = parsers.wholeNumber(idsPerSandbox, 4_294_000_000)(text);
  if (count % idsPerSandbox === 0) return count;
  throw new Error(`it is not a multiple of ${idsPerSandbox}`);
}
