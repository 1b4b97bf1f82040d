/** Finds out what a person asks to import, by looking at it. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { extract as createExtract } from 'tar-stream';
import { isSlipwayError, SlipwayError, systemCode } from '../../base/errors.ts';
import { pourLayer } from '../unpack/layer-source.ts';
import { UnpackBudget } from '../unpack/unpack-limits.ts';
import type { ImageSource } from './image-source.ts';

const tellingNames = ['oci-layout', 'index.json', 'manifest.json'];

/** @throws SlipwayError `image-unreadable` */
export async function detectSource(path: string): Promise<ImageSource> {
  const stats = await stat(path).catch(() => undefined);
  if (stats === undefined) throw unrecognised(path, 'there is nothing');
  if (!stats.isDirectory()) return { kind: await kindOfTar(path), path };
  const has = async (name: string) => (await stat(join(path, name)).catch(() => undefined))?.isFile();
  if (await has('index.json')) return { kind: 'oci-layout', path };
  if (await has('manifest.json')) return { kind: 'docker-archive', path };
  throw unrecognised(
    path,
    'the directory has neither index.json (OCI layout) nor manifest.json (docker archive)',
  );
}

/** An archive of an image has its table of contents at the top; any other tar is a file system. */
async function kindOfTar(path: string): Promise<ImageSource['kind']> {
  const names = await topNames(path);
  if (names.has('oci-layout') && names.has('index.json')) return 'oci-layout';
  return names.has('manifest.json') ? 'docker-archive' : 'rootfs';
}

async function topNames(path: string): Promise<Set<string>> {
  const extract = createExtract();
  const names = new Set<string>();
  // tar-stream's types describe a streamx stream, which Node's pipeline takes for a Writable.
  const poured = pourLayer(path, extract as unknown as Writable, { budget: new UnpackBudget() });
  poured.catch((error: unknown) =>
    extract.destroy(error instanceof Error ? error : new Error(String(error))),
  );
  try {
    for await (const entry of extract) {
      const name = entry.header.name.replace(/^\.\//, '');
      if (tellingNames.includes(name)) names.add(name);
      entry.resume();
    }
    await poured;
    return names;
  } catch (cause) {
    if (isSlipwayError(cause) || systemCode(cause) === 'EACCES') throw cause;
    throw unrecognised(path, 'it is not a tar archive', cause);
  }
}

function unrecognised(path: string, why: string, cause?: unknown): SlipwayError {
  return new SlipwayError(
    'invalid-input',
    'image-unreadable',
    `${JSON.stringify(path)} cannot be imported: ${why}. Give an OCI layout, an archive of "docker save", or a ` +
      'tar of a file system.',
    cause === undefined ? {} : { cause },
  );
}
