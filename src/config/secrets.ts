/**
 * Step three of the configuration: secrets, read only by those who present them. The token of the CLI comes from
 * SLIPWAY_TOKEN, from the file of SLIPWAY_TOKEN_FILE, or is this machine's admin token.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { messageOf, SlipwayError, systemCode } from '../base/errors.ts';
import { isLoopback } from '../base/loopback.ts';
import type { Config } from './config.ts';

/** Where the first start leaves the admin token, mode 0600. */
export function adminTokenPath(config: Pick<Config, 'stateDir'>): string {
  return path.join(config.stateDir, 'control', 'admin-token');
}

/**
 * The token to present to a server, or undefined when there is none. The admin token of this machine is
 * presented to this machine only.
 *
 * @throws SlipwayError `token-unreadable` when the named file cannot be read
 */
export function readClientToken(config: Config, serverUrl: string): string | undefined {
  if (config.client.token !== undefined) return config.client.token;
  if (config.client.tokenFile !== undefined) return readTokenFile(config.client.tokenFile);
  if (!isThisMachine(serverUrl)) return undefined;
  try {
    return readTokenFile(adminTokenPath(config));
  } catch (error) {
    if (error instanceof SlipwayError && ['ENOENT', 'EACCES'].includes(systemCode(error.cause) ?? ''))
      return undefined;
    throw error;
  }
}

function isThisMachine(serverUrl: string): boolean {
  return serverUrl.startsWith('unix:') || isLoopback(new URL(serverUrl).hostname);
}

function readTokenFile(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (cause) {
    throw new SlipwayError(
      'invalid-input',
      'token-unreadable',
      `The token file ${file} cannot be read (${messageOf(cause)}). Check SLIPWAY_TOKEN_FILE and its permissions.`,
      { cause },
    );
  }
}
