/**
 * The rooms of src/ and which way dependencies point: the one table that tests/architecture.test.ts enforces
 * and ARCHITECTURE.md prints. A room is a folder, or a file beside them; the two
 * composition roots are the only ones that know concrete classes.
 */
export interface Room {
  readonly name: string;
  readonly meaning: string;
  readonly mayImport: readonly string[] | 'everything';
}

export const rooms: readonly Room[] = [
  { name: 'base', meaning: 'errors, ids, time, frames, units: knows nothing of the product', mayImport: [] },
  {
    name: 'model',
    meaning: 'the domain as types, parsers and pure state machines; no I/O',
    mayImport: ['base'],
  },
  {
    name: 'api',
    meaning: 'requests and views of the HTTP API as schemas, for both of its ends',
    mayImport: ['base', 'model'],
  },
  {
    name: 'config',
    meaning: 'the environment parsed into settings; the only reader of `process.env`',
    mayImport: ['base', 'model'],
  },
  {
    name: 'store',
    meaning: 'the Store and Blobs ports, and what implements them',
    mayImport: ['base', 'model'],
  },
  {
    name: 'runtime',
    meaning: 'the runtime driver contract, and the drivers',
    mayImport: ['base', 'model'],
  },
  {
    name: 'images',
    meaning: 'images by digest: build, import, unpack, list',
    mayImport: ['base', 'model'],
  },
  {
    name: 'starter',
    meaning: 'the only process that creates sandboxes: pools, reaper, the Starter port',
    mayImport: ['base', 'model', 'runtime', 'images'],
  },
  {
    name: 'runs',
    meaning: 'the engine: submit, dispatch, execute, collect, cancel, recover',
    mayImport: ['base', 'model', 'store', 'starter'],
  },
  {
    name: 'http',
    meaning: 'server, authentication, problem+json, one file per operation',
    mayImport: ['base', 'model', 'api', 'store', 'starter', 'runs'],
  },
  {
    name: 'client',
    meaning: 'the typed HTTP client, for the CLI, the tests and users',
    mayImport: ['base', 'model', 'api'],
  },
  {
    name: 'cli',
    meaning: 'one file per command',
    mayImport: ['base', 'model', 'api', 'config', 'client', 'runtime', 'images', 'starter', 'version.ts'],
  },
  { name: 'version.ts', meaning: 'the version of this program', mayImport: [] },
  {
    name: 'app.ts',
    meaning: 'the composition root of the process with privileges: the starter, and the service around it',
    mayImport: 'everything',
  },
  {
    name: 'control-plane.ts',
    meaning: 'the composition root of the process that faces the network',
    mayImport: 'everything',
  },
  { name: 'main.ts', meaning: 'process entry: signals, start, stop; no logic', mayImport: 'everything' },
];

/** The table as ARCHITECTURE.md prints it. */
export function roomTable(): string {
  const rows = rooms.map((room) => `| \`${room.name}\` | ${room.meaning} | ${importsOf(room)} |`);
  return ['| room | meaning | may import |', '|---|---|---|', ...rows].join('\n');
}

function importsOf(room: Room): string {
  if (room.mayImport === 'everything') return 'everything';
  return room.mayImport.map((name) => `\`${name}\``).join(', ') || 'nothing';
}
