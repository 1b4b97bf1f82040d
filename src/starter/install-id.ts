/** The name of an installation, in everything that it makes on the host; as old as its state directory. */
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { SlipwayError, systemCode } from '../base/errors.ts';
import { randomText } from '../base/ids.ts';

const idLength = 8;

/** Reads the id, or makes one; of several processes that make one at once, one wins. */
export async function readInstallId(stateDir: string): Promise<string> {
  const file = path.join(stateDir, 'install-id');
  return (await readId(file)) ?? (await makeId(file));
}

async function readId(file: string): Promise<string | undefined> {
  try {
    return parseInstallId((await readFile(file, 'utf8')).trim(), file);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function parseInstallId(text: string, file: string): string {
  if (/^[0-9a-z]{8}$/.test(text)) return text;
  throw new SlipwayError(
    'corrupted',
    'bad-install-id',
    `${file} should hold 8 letters or digits. Restore it from a backup, or remove it when no sandbox runs.`,
  );
}

async function makeId(file: string): Promise<string> {
  const draft = `${file}.${randomText(8)}`;
  await mkdir(path.dirname(file), { recursive: true, mode: 0o711 });
  await writeFile(draft, `${randomText(idLength)}\n`, { mode: 0o644, flag: 'wx' });
  try {
    await link(draft, file); // fails if somebody else was first
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error;
  } finally {
    await rm(draft, { force: true });
  }
  return parseInstallId((await readFile(file, 'utf8')).trim(), file);
}
