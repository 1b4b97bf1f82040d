/** Makes the OCI config of an image that came as a bare tar of a file system. */
import { Writable } from 'node:stream';
import type { Digest } from '../../base/digest.ts';
import { layerError } from '../unpack/layer-error.ts';
import { pourLayer } from '../unpack/layer-source.ts';
import type { UnpackBudget } from '../unpack/unpack-limits.ts';
import type { RootfsConfig } from './image-source.ts';

/** No creation date: the same tar and settings give the same image. */
export function rootfsConfig(
  config: RootfsConfig,
  { architecture, diffId }: { architecture: string; diffId: Digest },
): object {
  return {
    architecture,
    os: 'linux',
    config: {
      User: config.user ?? '',
      Env: Object.entries(config.env ?? {}).map(([name, value]) => `${name}=${value}`),
      Entrypoint: config.entrypoint ?? [],
      Cmd: config.cmd ?? [],
      WorkingDir: config.workdir ?? '',
      Labels: config.labels ?? {},
    },
    rootfs: { type: 'layers', diff_ids: [diffId] },
  };
}

/** The digest of the uncompressed tar in a file. */
export async function diffIdOf(path: string, budget: UnpackBudget, signal?: AbortSignal): Promise<Digest> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  try {
    return await pourLayer(path, nowhere, { budget, signal });
  } catch (error) {
    throw layerError(error, signal);
  }
}
