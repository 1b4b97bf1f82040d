/**
 * What a build needs from its host to reach package indexes: proxies, a private CA, pip's and apt's
 * settings. They reach the steps of a build through one directory, mounted at `/run/slipway-build`, and
 * through variables that the runtime wrapper (runtime-wrapper.ts) sets for each step; neither is part of
 * the image.
 */
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemCode } from '../../base/errors.ts';
import { findDebianMirror, sourcesFor } from './debian-mirror.ts';

/** Where a step of a build finds the directory. */
export const settingsMount = '/run/slipway-build';

/** Debian releases for which sources are prepared; a step in another system keeps its own. */
export const preparedReleases: readonly string[] = ['bullseye', 'bookworm', 'trixie'];

const caBundle = '/etc/ssl/certs/ca-certificates.crt';
const proxyNames = ['http_proxy', 'https_proxy', 'ftp_proxy', 'no_proxy', 'all_proxy'];
const pipNames = [
  'PIP_INDEX_URL',
  'PIP_EXTRA_INDEX_URL',
  'PIP_TRUSTED_HOST',
  'PIP_DEFAULT_TIMEOUT',
  'PIP_NO_INDEX',
  'PIP_PROXY',
];

/** The variables by which common tools find a CA bundle. */
const caNames = [
  'SSL_CERT_FILE',
  'PIP_CERT',
  'REQUESTS_CA_BUNDLE',
  'CURL_CA_BUNDLE',
  'GIT_SSL_CAINFO',
  'NODE_EXTRA_CA_CERTS',
];

/** The operator's environment: what a build may take from it is picked by name. */
export type HostEnvironment = Readonly<Record<string, string | undefined>>;

export interface BuildSettings {
  /** On the host; mounted read-only at `settingsMount`. */
  readonly directory: string;
  /** Set for every step. */
  readonly env: Readonly<Record<string, string>>;
}

/** Proxy settings, in both spellings that tools look for. */
export function proxyEnvironment(host: HostEnvironment): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of proxyNames) {
    const value = host[name] ?? host[name.toUpperCase()];
    if (value !== undefined) Object.assign(found, { [name]: value, [name.toUpperCase()]: value });
  }
  return found;
}

/** Fills `directory` for one build. */
export async function prepareBuildSettings(directory: string, host: HostEnvironment): Promise<BuildSettings> {
  await mkdir(directory, { recursive: true, mode: 0o755 });
  const hasCa = await copyIfThere(host['SSL_CERT_FILE'] ?? caBundle, join(directory, 'ca.crt'));
  const hasPip = await copyPipSettings(join(directory, 'pip.conf'), hasCa);
  await writeAptSettings(directory, hasCa);
  const ca = hasCa ? Object.fromEntries(caNames.map((name) => [name, `${settingsMount}/ca.crt`])) : {};
  const pip = Object.fromEntries(pipNames.flatMap((name) => (host[name] ? [[name, host[name]]] : [])));
  const config = hasPip ? { PIP_CONFIG_FILE: `${settingsMount}/pip.conf` } : {};
  return { directory, env: { ...proxyEnvironment(host), ...ca, ...pip, ...config } };
}

/** pip.conf names the CA by its path on the host, which a step does not see. */
async function copyPipSettings(target: string, hasCa: boolean): Promise<boolean> {
  const text = await readIfThere('/etc/pip.conf');
  if (text === undefined) return false;
  const cert = hasCa ? `cert = ${settingsMount}/ca.crt` : '';
  await writeFile(target, text.replace(/^\s*cert\s*=.*$/gm, cert));
  return true;
}

async function writeAptSettings(directory: string, hasCa: boolean): Promise<void> {
  const mirror = await findDebianMirror();
  const common = hasCa ? `Acquire::https::CaInfo "${settingsMount}/ca.crt";\n` : '';
  await writeFile(join(directory, 'apt.conf'), common);
  for (const release of preparedReleases) {
    if (mirror !== undefined)
      await writeFile(join(directory, `${release}.list`), sourcesFor(mirror, release));
    const sources =
      `Dir::Etc::SourceList "${settingsMount}/${release}.list";\n` +
      `Dir::Etc::SourceParts "${settingsMount}/none";\n`;
    await writeFile(join(directory, `apt.${release}.conf`), mirror === undefined ? common : common + sources);
  }
}

async function copyIfThere(from: string, to: string): Promise<boolean> {
  try {
    await copyFile(from, to);
    return true;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false;
    throw error;
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
