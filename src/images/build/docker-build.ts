/** The same build by a Docker Engine, for machines that have one and no buildah. */
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Image } from '../../model/image.ts';
import type { CheckedBuild } from './build-request.ts';
import { runHostCommand } from './host-command.ts';

type Environment = Readonly<Record<string, string>>;

export async function hasDockerEngine(env: Environment): Promise<boolean> {
  try {
    await runHostCommand({ program: 'docker', args: ['version', '--format', '{{.Server.Version}}'], env });
    return true;
  } catch {
    return false;
  }
}

export async function buildWithDocker(
  { store, name, dockerfile, contextDir, labels, progress, signal }: CheckedBuild,
  env: Environment,
): Promise<Image> {
  const tag = `slipway-build/${name.replaceAll(/[:/]/g, '-')}`;
  const work = await mkdtemp(join(env['TMPDIR'] ?? '/tmp', 'docker-'));
  const proxies = Object.keys(env).filter((key) => /_proxy$/i.test(key));
  const options = [
    ...proxies.flatMap((key) => ['--build-arg', key]),
    ...Object.entries(labels ?? {}).flatMap(([key, value]) => ['--label', `${key}=${value}`]),
  ];
  const docker = (args: readonly string[]) =>
    runHostCommand({ program: 'docker', args, env, progress, signal });
  try {
    await docker(['build', '--file', dockerfile, '--tag', tag, ...options, contextDir]);
    await docker(['save', '--output', join(work, 'image.tar'), tag]);
    return await store.import({ kind: 'docker-archive', path: join(work, 'image.tar') }, name, {
      progress,
      signal,
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
