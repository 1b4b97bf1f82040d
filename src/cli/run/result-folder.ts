/**
 * Where result files go. Their names are hostile: nothing is written outside the folder, through a link, or over
 * what is there, unless that was asked for.
 */
import { constants } from 'node:fs';
import { lstat, mkdir, open, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { messageOf, SlipwayError, systemCode } from '../../base/errors.ts';
import { parseRelativePath } from '../../model/paths.ts';

export class ResultFolder {
  readonly path: string;
  readonly #replaces: boolean;

  private constructor(folder: string, replaces: boolean) {
    this.path = folder;
    this.#replaces = replaces;
  }

  /**
   * Makes the folder if it is not there.
   *
   * @param replaces whether it may hold files already, which are replaced by results of the same name
   * @throws SlipwayError `results-not-empty`, `results-unwritable`
   */
  static async create(folder: string, replaces: boolean): Promise<ResultFolder> {
    const names = await makeFolder(folder);
    if (names.length > 0 && !replaces) throw notEmpty(folder);
    return new ResultFolder(folder, replaces);
  }

  /** Writes one file, in full or not at all. @throws SlipwayError `results-unwritable` */
  async write(relative: string, content: AsyncIterable<Uint8Array>): Promise<void> {
    const parts = parseRelativePath(relative, 'result file').split('/');
    try {
      const folder = await this.#makeFolders(parts.slice(0, -1));
      await this.#writeFile(path.join(folder, parts.at(-1) ?? ''), content);
    } catch (error) {
      throw error instanceof SlipwayError ? error : unwritable(path.join(this.path, relative), error);
    }
  }

  async #makeFolders(parts: readonly string[]): Promise<string> {
    let folder = this.path;
    for (const part of parts) {
      folder = path.join(folder, part);
      await mkdir(folder).catch(ignoreExisting);
      if (!(await lstat(folder)).isDirectory())
        throw new Error(`${JSON.stringify(folder)} is not a directory`);
    }
    return folder;
  }

  async #writeFile(file: string, content: AsyncIterable<Uint8Array>): Promise<void> {
    if (this.#replaces) await rm(file, { force: true });
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    await using handle = await open(file, flags, 0o666);
    try {
      for await (const chunk of content) await handle.writeFile(chunk);
    } catch (error) {
      await rm(file, { force: true });
      throw error;
    }
  }
}

async function makeFolder(folder: string): Promise<string[]> {
  try {
    await mkdir(folder, { recursive: true });
    return await readdir(folder);
  } catch (error) {
    throw unwritable(folder, error);
  }
}

function ignoreExisting(error: unknown): void {
  if (systemCode(error) !== 'EEXIST') throw error;
}

function notEmpty(folder: string): SlipwayError {
  const message = `The folder ${JSON.stringify(folder)} is not empty. Name another, or give --force to replace files of the same name.`;
  return new SlipwayError('invalid-input', 'results-not-empty', message);
}

function unwritable(file: string, cause: unknown): SlipwayError {
  const message = `Cannot write ${JSON.stringify(file)} (${messageOf(cause)}).`;
  return new SlipwayError('unavailable', 'results-unwritable', message, { cause });
}
