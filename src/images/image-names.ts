/** The names of a store's images: one small file for each, so that concurrent writers never lose a name. */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Digest, isDigest } from '../base/digest.ts';
import { SlipwayError, systemCode } from '../base/errors.ts';
import type { Image } from '../model/image.ts';
import { namesIn, type StoreFiles, syncDirectory, writeFileAtomically } from './store-files.ts';

/**
 * A name as people and Dockerfiles write it, in its short form: `docker.io/library/python:latest` is
 * `python`.
 *
 * @throws SlipwayError `bad-image-name`
 */
export function parseImageName(name: string): string {
  const short = shortName(name);
  if (short !== undefined) return short;
  throw new SlipwayError(
    'invalid-input',
    'bad-image-name',
    `${JSON.stringify(name.slice(0, 100))} is not an image name; write for example "python" or "team/tools:1.2".`,
  );
}

function shortName(name: string): string | undefined {
  const short = name
    .replace(/^docker\.io\//, '')
    .replace(/^library\//, '')
    .replace(/:latest$/, '');
  const shape = /^[a-z0-9][a-z0-9._-]*(:\d+)?(\/[a-z0-9][a-z0-9._-]*)*(:[\w][\w.-]{0,127})?$/;
  return short.length <= 200 && shape.test(short) ? short : undefined;
}

export class ImageNames {
  readonly #files: StoreFiles;

  constructor(files: StoreFiles) {
    this.#files = files;
  }

  async lookup(name: string): Promise<Digest | undefined> {
    const short = shortName(name);
    return short === undefined ? undefined : this.#read(encodeURIComponent(short));
  }

  /** The short form of a name that exists. */
  async find(name: string): Promise<string | undefined> {
    return (await this.lookup(name)) === undefined ? undefined : shortName(name);
  }

  async byDigest(): Promise<Map<Digest, string[]>> {
    const byDigest = new Map<Digest, string[]>();
    for (const file of (await namesIn(this.#files.names)).sort()) {
      const digest = file.endsWith('.new') ? undefined : await this.#read(file);
      if (digest === undefined) continue;
      byDigest.set(digest, [...(byDigest.get(digest) ?? []), decodeURIComponent(file)]);
    }
    return byDigest;
  }

  async set(name: string, digest: Digest): Promise<void> {
    await writeFileAtomically(join(this.#files.names, encodeURIComponent(name)), `${digest}\n`);
  }

  async delete(name: string): Promise<void> {
    await rm(join(this.#files.names, encodeURIComponent(name)), { force: true });
    await syncDirectory(this.#files.names);
  }

  async #read(file: string): Promise<Digest | undefined> {
    try {
      const text = (await readFile(join(this.#files.names, file), 'utf8')).trim();
      return isDigest(text) ? text : undefined;
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return undefined;
      throw error;
    }
  }
}

export function imageNotFound(reference: string, images: readonly Image[], cause?: unknown): SlipwayError {
  const names = images.flatMap((image) => image.names);
  const there = names.length === 0 ? 'The store is empty' : `The store has: ${names.join(', ')}`;
  return new SlipwayError(
    'not-found',
    'image-not-found',
    `There is no image ${JSON.stringify(reference.slice(0, 100))}. ${there}. ` +
      'Build one with `slipway image build DIR --name NAME`, or import one with `slipway image import PATH --name NAME`.',
    { details: { reference: reference.slice(0, 100), names }, ...(cause === undefined ? {} : { cause }) },
  );
}
