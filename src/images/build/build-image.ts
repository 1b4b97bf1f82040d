/**
 * Builds a Dockerfile into the image store: with Debian's buildah, which needs no daemon, else with a Docker
 * Engine. An operator's command: the steps of a build run as real root with the host's network.
 * Next: resolve-base.ts (FROM), buildah.ts, runtime-wrapper.ts (how a build reaches package indexes).
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { SlipwayError, systemCode } from '../../base/errors.ts';
import { type Image, imageLabels } from '../../model/image.ts';
import { parseImageName } from '../image-names.ts';
import { assertAllowed, closedPolicy, type RegistryPolicy } from '../registry/registry-policy.ts';
import { parseRegistryReference } from '../registry/registry-reference.ts';
import { readSignatureKeys } from '../registry/signature-keys.ts';
import type { BuildImageOptions, CheckedBuild } from './build-request.ts';
import { Buildah } from './buildah.ts';
import { buildWithDocker, hasDockerEngine } from './docker-build.ts';
import { basesOf } from './dockerfile.ts';
import { hasProgram } from './host-command.ts';
import { resolveBase } from './resolve-base.ts';

/**
 * @throws SlipwayError `dockerfile-missing`, `base-unavailable`, `build-failed` (with the last lines),
 *   `builder-missing`, and what an import throws
 */
export async function buildImage(options: BuildImageOptions): Promise<Image> {
  const name = parseImageName(options.name);
  const dockerfile = resolve(options.dockerfile ?? join(options.contextDir, 'Dockerfile'));
  const text = await readDockerfile(dockerfile);
  const request = { ...options, name, dockerfile, contextDir: resolve(options.contextDir) };
  const buildah = await Buildah.open(options.store.root, options.hostEnv);
  if (await hasProgram('buildah', buildah.env)) return buildWithBuildah(request, { buildah, text });
  if (await hasDockerEngine(buildah.env)) {
    await assertBasesAllowed(text, options.policy ?? closedPolicy);
    return buildWithDocker(request, buildah.env);
  }
  throw new SlipwayError(
    'unavailable',
    'builder-missing',
    'Building an image needs buildah or a Docker Engine, and this machine has neither. As root, type: ' +
      'apt-get install --no-install-recommends buildah mmdebstrap',
  );
}

/** The Engine pulls the bases itself: all that can be done is to ask before. */
async function assertBasesAllowed(dockerfile: string, policy: RegistryPolicy): Promise<void> {
  for (const base of basesOf(dockerfile)) {
    const reference = parseRegistryReference(base);
    assertAllowed(reference, policy);
    if ((await readSignatureKeys(reference, policy.keysDir)).length === 0) continue;
    throw new SlipwayError(
      'unsupported',
      'builder-cannot-verify',
      `The base ${JSON.stringify(base)} must be signed (SLIPWAY_IMAGE_KEYS), and a Docker Engine does not check that. ` +
        'As root, type: apt-get install --no-install-recommends buildah',
    );
  }
}

async function buildWithBuildah(
  request: CheckedBuild,
  { buildah, text }: { buildah: Buildah; text: string },
): Promise<Image> {
  const { store, name, progress, signal } = request;
  const { policy = closedPolicy, hostEnv } = request;
  const kitchen = { store, buildah, policy, hostEnv, output: { progress, signal } };
  await using _lock = await buildah.lock({ progress, signal });
  const notes: string[] = [];
  for (const base of basesOf(text)) notes.push(...(await resolveBase(base, kitchen)));
  const work = await mkdtemp(join(dirname(store.root), 'build', 'tmp', 'out-'));
  const tag = `localhost/slipway-build/${name.replaceAll(/[:/]/g, '-')}`;
  try {
    const labels = {
      ...request.labels,
      ...(notes.length > 0 ? { [imageLabels.notes]: notes.join('\n') } : {}),
    };
    await buildah.build({ ...request, name: tag, labels }, kitchen.output);
    progress?.('storing the image');
    await buildah.exportLayout(tag, join(work, 'layout'));
    return await store.import({ kind: 'oci-layout', path: join(work, 'layout') }, name, kitchen.output);
  } finally {
    await rm(work, { recursive: true, force: true });
    await buildah.clean();
  }
}

async function readDockerfile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (!['ENOENT', 'EISDIR', 'ENOTDIR'].includes(systemCode(error) ?? '')) throw error;
    throw new SlipwayError(
      'not-found',
      'dockerfile-missing',
      `There is no Dockerfile at ${JSON.stringify(path)}.`,
      {
        cause: error,
      },
    );
  }
}
