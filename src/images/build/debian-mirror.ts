/**
 * Where this machine gets its Debian packages, so that builds get theirs from the same place: a private
 * mirror, or the archive behind a proxy. Reads apt's own settings; both notations of sources.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { namesIn } from '../store-files.ts';

export interface DebianMirror {
  /** The archive, without a slash at the end. */
  readonly archive: string;
  /** Its security updates, where the host takes them. */
  readonly security: string | undefined;
}

interface Source {
  readonly uri: string;
  readonly suite: string;
}

/**
 * @param etcApt `/etc/apt`, or another directory in tests
 * @returns undefined where apt knows no archive of Debian
 */
export async function findDebianMirror(etcApt = '/etc/apt'): Promise<DebianMirror | undefined> {
  const parts = join(etcApt, 'sources.list.d');
  const files = [join(etcApt, 'sources.list'), ...(await namesIn(parts)).map((name) => join(parts, name))];
  const texts = await Promise.all(files.map(async (file) => parseSources(file, await textOf(file))));
  return mirrorOf(texts.flat());
}

function mirrorOf(sources: readonly Source[]): DebianMirror | undefined {
  const find = (shape: RegExp) => sources.find(({ suite }) => shape.test(suite))?.uri;
  const archive = find(/^(bullseye|bookworm|trixie|forky|sid|stable|oldstable|testing)$/);
  return archive === undefined ? undefined : { archive, security: find(/-security$|\/updates$/) };
}

/** The sources of one Debian release, in apt's one-line notation. */
export function sourcesFor(mirror: DebianMirror, codename: string): string {
  return [
    `deb ${mirror.archive} ${codename} main`,
    `deb ${mirror.archive} ${codename}-updates main`,
    ...(mirror.security === undefined ? [] : [`deb ${mirror.security} ${codename}-security main`]),
    '',
  ].join('\n');
}

export function parseSources(file: string, text: string): Source[] {
  return file.endsWith('.sources') ? parseStanzas(text) : parseLines(text);
}

function parseLines(text: string): Source[] {
  return text.split('\n').flatMap((line) => {
    const [, uri, suite, components = ''] =
      /^\s*deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s+(.*)$/.exec(line) ?? [];
    return uri && suite && isMain(components, uri) ? [{ uri: trimmed(uri), suite }] : [];
  });
}

function parseStanzas(text: string): Source[] {
  const plain = text.replace(/^#.*\n?/gm, '');
  return plain.split(/\n\s*\n/).flatMap((stanza) => {
    const field = (name: string) =>
      new RegExp(`^${name}:[ \\t]*(.*(?:\\n[ \\t].*)*)`, 'im').exec(stanza)?.[1] ?? '';
    const words = (name: string) =>
      field(name)
        .split(/\s+/)
        .filter((word) => word !== '');
    if (!words('Types').includes('deb') || field('Enabled') === 'no') return [];
    const uris = words('URIs').filter((uri) => isMain(field('Components'), uri));
    return uris.flatMap((uri) => words('Suites').map((suite) => ({ uri: trimmed(uri), suite })));
  });
}

/** Third parties use Debian's suite names too; Debian's own archives end in debian or debian-security. */
function isMain(components: string, uri: string): boolean {
  return /(^|\s)main(\s|$)/.test(components) && /\/debian(-security)?\/?$/.test(uri);
}

function trimmed(uri: string): string {
  return uri.replace(/\/+$/, '');
}

async function textOf(file: string): Promise<string> {
  return readFile(file, 'utf8').catch(() => '');
}
