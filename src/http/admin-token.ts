/**
 * The first token: of the operator `admin`, in a file that only its owner reads. The store learns of a token
 * before the file does, so a file that exists always holds a token that works; a crash in between leaves
 * a hash whose secret nobody has. A lost, foreign or revoked token is replaced at the next start.
 */
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import type { Clock } from '../base/clock.ts';
import { messageOf, SlipwayError, systemCode } from '../base/errors.ts';
import { randomText } from '../base/ids.ts';
import type { Store } from '../store/store.ts';
import { issueToken, type TokenStore } from './issue-token.ts';
import { hashToken, isTokenSecret } from './token.ts';

type AdminStore = TokenStore & Pick<Store, 'findByTokenHash'>;

const admin = { namespace: 'default', name: 'admin', role: 'operator' } as const;

/**
 * Makes sure that the file holds a token of the operator `admin` that the store accepts.
 *
 * @returns whether a new token was made
 * @throws SlipwayError `admin-token-unwritable`
 */
export async function ensureAdminToken(
  store: AdminStore,
  file: string,
  clock: Clock,
): Promise<{ created: boolean }> {
  const known = await readToken(file);
  if (known !== undefined && (await isAdminToken(store, known))) return { created: false };
  const { secret } = await issueToken(store, admin, clock);
  await writeDurably(file, `${secret}\n`);
  return { created: true };
}

async function readToken(file: string): Promise<string | undefined> {
  try {
    const text = (await readFile(file, 'utf8')).trim();
    return isTokenSecret(text) ? text : undefined;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw unwritable(file, error);
  }
}

async function isAdminToken(store: AdminStore, secret: string): Promise<boolean> {
  const found = await store.findByTokenHash(hashToken(secret));
  return found?.principal.role === 'operator';
}

/** The whole content under its name, or nothing: a new file, synced, renamed, and the directory synced. */
async function writeDurably(file: string, content: string): Promise<void> {
  const directory = path.dirname(file);
  const temporary = `${file}.${randomText(8)}`;
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await writeAndSync(temporary, content);
    await rename(temporary, file);
    await syncDirectory(directory);
  } catch (error) {
    await rm(temporary, { force: true });
    throw unwritable(file, error);
  }
}

async function writeAndSync(file: string, content: string): Promise<void> {
  await using handle = await open(file, 'wx', 0o600);
  await handle.writeFile(content);
  await handle.sync();
}

async function syncDirectory(directory: string): Promise<void> {
  await using handle = await open(directory, 'r');
  await handle.sync();
}

function unwritable(file: string, cause: unknown): SlipwayError {
  return new SlipwayError(
    'unavailable',
    'admin-token-unwritable',
    `The admin token cannot be kept in ${file} (${messageOf(cause)}). Check the directory's owner and free space.`,
    { cause },
  );
}
