/**
 * Makes the two bases that most Dockerfiles start from out of Debian's packages, for machines that reach a
 * Debian mirror but no image registry. Not the official images, and labelled so that `image show` says it.
 * Packages are the archive's current ones; everything else is reproducible.
 */
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SlipwayError } from '../../base/errors.ts';
import { imageLabels } from '../../model/image.ts';
import type { RootfsConfig } from '../formats/image-source.ts';
import type { Buildah, BuildOutput } from './buildah.ts';
import { findDebianMirror, sourcesFor } from './debian-mirror.ts';
import { runHostCommand } from './host-command.ts';

/** 2023-06-10, the release of Debian 12: the newest date that a file of ours gets. */
const sourceDateEpoch = '1686355200';
const release = 'bookworm';

const path = '/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin';

interface BaseRecipe {
  readonly packages: readonly string[];
  /** Shell, run by mmdebstrap with the tree's path as `$1`. */
  readonly hook: string;
  readonly env: Readonly<Record<string, string>>;
  readonly cmd: readonly string[];
}

/** usr-is-merged: its alternative, usrmerge, brings all of Perl. */
const common = ['ca-certificates', 'usr-is-merged'];

/** Nothing of this machine may stay in the base, its mirror neither: builds bring the sources of their host. */
const cleanHook = [
  'set -e',
  'rm -f "$1"/etc/resolv.conf "$1"/etc/hostname "$1"/etc/apt/sources.list.d/*',
  ': > "$1"/etc/apt/sources.list',
].join('\n');

/** As in the official image: `python` and `pip` on the path, and pip may install. */
const pythonHook = [
  cleanHook,
  'for name in python python3; do ln -sf /usr/bin/python3 "$1"/usr/local/bin/$name; done',
  'for name in pip pip3; do ln -sf /usr/bin/pip3 "$1"/usr/local/bin/$name; done',
  'rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED',
].join('\n');

const recipes: Readonly<Record<string, BaseRecipe>> = {
  'debian:bookworm-slim': {
    packages: common,
    hook: cleanHook,
    env: { PATH: path },
    cmd: ['bash'],
  },
  'python:3.11-slim': {
    packages: [...common, 'python3', 'python3-pip', 'python3-venv'],
    hook: pythonHook,
    env: { PATH: path, LANG: 'C.UTF-8' },
    cmd: ['python3'],
  },
};

/** Names of the bases that can be bootstrapped. */
export const bootstrappable: readonly string[] = Object.keys(recipes);

export interface BootstrappedBase {
  /** A tar of the tree. */
  readonly tar: string;
  readonly config: RootfsConfig;
}

/**
 * @param name one of `bootstrappable`
 * @param directory where the tar is made; the caller removes it
 * @returns undefined for any other name
 */
export async function bootstrapBase(
  name: string,
  { directory, buildah, output }: { directory: string; buildah: Buildah; output: BuildOutput },
): Promise<BootstrappedBase | undefined> {
  const recipe = recipes[name];
  if (recipe === undefined) return undefined;
  output.progress?.(`bootstrapping ${name} from Debian's packages`);
  const tar = join(directory, 'base.tar');
  await mkdir(join(directory, 'tmp'));
  const hook = join(directory, 'hook.sh');
  const sources = join(directory, 'sources.list');
  await writeFile(hook, `#!/bin/sh\n${recipe.hook}\n`);
  await chmod(hook, 0o755);
  const mirror = await findDebianMirror();
  if (mirror === undefined) throw noMirror(name);
  await writeFile(sources, sourcesFor(mirror, release));
  const env = { ...buildah.env, TMPDIR: join(directory, 'tmp'), SOURCE_DATE_EPOCH: sourceDateEpoch };
  const args = [...mmdebstrapOptions(recipe, hook), release, tar, sources];
  await runHostCommand({ program: 'mmdebstrap', args, env, ...output });
  const note = `base ${name} bootstrapped from Debian's packages; it is not the official image`;
  return {
    tar,
    config: { env: recipe.env, cmd: recipe.cmd, labels: { [imageLabels.notes]: note } },
  };
}

function mmdebstrapOptions({ packages }: BaseRecipe, hook: string): string[] {
  const keep = ['/usr/share/doc/*/copyright', '/usr/share/locale/locale.alias'];
  const drop = ['/usr/share/doc/*', '/usr/share/man/*', '/usr/share/info/*', '/usr/share/locale/*'];
  return [
    '--mode=root',
    '--variant=minbase',
    // A sandbox gets its own /dev; an image with device nodes is refused.
    '--skip=output/dev',
    '--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr',
    `--include=${packages.join(',')}`,
    ...drop.map((pattern) => `--dpkgopt=path-exclude=${pattern}`),
    ...keep.map((pattern) => `--dpkgopt=path-include=${pattern}`),
    '--aptopt=Apt::Install-Recommends "false"',
    `--customize-hook=${hook}`,
  ];
}

function noMirror(name: string): SlipwayError {
  return new SlipwayError(
    'unavailable',
    'no-debian-mirror',
    `The base ${name} is made from Debian's packages, but apt on this machine has no source of them. Add one to /etc/apt/sources.list, or allow a registry that has the base (SLIPWAY_REGISTRIES).`,
  );
}
