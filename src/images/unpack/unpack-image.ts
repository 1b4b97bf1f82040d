/**
 * Turns the staged blobs of one image into a tree and its description: the layers applied, the user
 * resolved, the mount points made. The result lies in a scratch directory; the store renames it into place.
 */
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type Digest, isDigest } from '../../base/digest.ts';
import { SlipwayError } from '../../base/errors.ts';
import { type Image, type ImageRunner, imageLabels } from '../../model/image.ts';
import { corruptedBlob } from '../blob-staging.ts';
import {
  type OciConfig,
  parseConfig,
  parseManifest,
  readDocument,
  unreadable,
} from '../formats/oci-documents.ts';
import { applyLayer } from './apply-layer.ts';
import { resolveUser } from './image-user.ts';
import { assertDistinctNames } from './name-collisions.ts';
import { cleanNotes, readBuildNotes, readPackages } from './package-list.ts';
import { ensureMountPoints, ensureWorkdir, sizeOfTree } from './prepare-rootfs.ts';
import { lstatOf, resolveParts } from './rooted-path.ts';
import { UnpackBudget, type UnpackLimits } from './unpack-limits.ts';

export type ImageDescription = Omit<Image, 'names'>;

export interface UnpackOptions {
  readonly digest: Digest;
  /** Where a blob lies. */
  readonly blob: (digest: Digest) => string;
  /** The tree is made here; must not exist. */
  readonly rootfs: string;
  readonly limits: UnpackLimits;
  readonly progress: (line: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/** @throws SlipwayError `image-refused`, `image-too-large`, `image-corrupted`, `image-unreadable` */
export async function unpackImage(options: UnpackOptions): Promise<ImageDescription> {
  const manifest = parseManifest(await readDocument(options.blob(options.digest)));
  const config = parseConfig(await readDocument(options.blob(manifest.config.digest)));
  if (config.rootfs.diff_ids.length !== manifest.layers.length) {
    throw unreadable('config', 'it does not name every layer');
  }
  await mkdir(options.rootfs, { mode: 0o755 });
  assertDistinctNames(dirname(options.rootfs));
  const notes = await applyLayers(
    manifest.layers.map((layer) => layer.digest),
    config,
    options,
  );
  return describe(config, notes, options);
}

async function applyLayers(
  layers: readonly Digest[],
  config: OciConfig,
  { rootfs, limits, blob, progress, signal }: UnpackOptions,
): Promise<string[]> {
  const budget = new UnpackBudget(limits);
  const counts = { ignoredXattrs: 0, lookAlikes: 0, lossyNames: 0 };
  for (const [i, layer] of layers.entries()) {
    progress(`unpacking layer ${i + 1} of ${layers.length}`);
    const applied = await applyLayer(blob(layer), { root: rootfs, budget, signal });
    const expected = config.rootfs.diff_ids[i];
    if (isDigest(expected) && expected !== applied.diffId) throw corruptedBlob(expected, applied.diffId);
    for (const key of remarkKeys) counts[key] += applied[key];
  }
  return remarkKeys.flatMap((key) => (counts[key] === 0 ? [] : [remarks[key](counts[key])]));
}

/** What a person should know about an image, in words. */
const remarks = {
  ignoredXattrs: (count: number) => `extended attributes of ${count} files were left out`,
  lookAlikes: (count: number) => `names of ${count} files differ from others in their Unicode form alone`,
  lossyNames: (count: number) => `names of ${count} files are not UTF-8 and were altered`,
};
const remarkKeys = ['ignoredXattrs', 'lookAlikes', 'lossyNames'] as const;

function describe(
  config: OciConfig,
  notes: readonly string[],
  { rootfs, digest }: UnpackOptions,
): ImageDescription {
  const run = config.config ?? { Env: [], Entrypoint: [], Cmd: [], Labels: {} };
  const user = resolveUser(rootfs, run.User ?? '');
  const workdir = ensureWorkdir(rootfs, run.WorkingDir ?? '');
  ensureMountPoints(rootfs, user.home);
  const runner = runnerOf(run.Labels);
  return {
    digest,
    ...(config.created === undefined ? {} : { createdAt: config.created }),
    architecture: config.architecture,
    sizeBytes: sizeOfTree(rootfs),
    user,
    env: environmentOf(run.Env),
    workdir,
    entrypoint: run.Entrypoint,
    cmd: run.Cmd,
    labels: run.Labels,
    ...(runner ? { runner } : {}),
    packages: readPackages(rootfs),
    notes: [...cleanNotes(run.Labels[imageLabels.notes] ?? ''), ...readBuildNotes(rootfs), ...notes],
    hasShell: isProgram(rootfs, 'bin/sh'),
  };
}

function environmentOf(env: readonly string[]): Record<string, string> {
  const pairs = env.map((line) => [
    line.slice(0, Math.max(0, line.indexOf('='))),
    line.slice(line.indexOf('=') + 1),
  ]);
  return Object.fromEntries(pairs.filter(([name]) => name !== ''));
}

function runnerOf(labels: Readonly<Record<string, string>>): ImageRunner | undefined {
  const argv = labels[imageLabels.runner];
  if (argv === undefined) return undefined;
  const protocol = Number(labels[imageLabels.runnerProtocol] ?? '1');
  const preload = (labels[imageLabels.runnerPreload] ?? '').split(/[\s,]+/).filter((name) => name !== '');
  if (!Number.isInteger(protocol)) throw badRunner(imageLabels.runnerProtocol);
  return { protocol, argv: parseArgv(argv), preload };
}

function parseArgv(json: string): string[] {
  try {
    const value: unknown = JSON.parse(json);
    const argv = Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
    if (Array.isArray(value) && argv.length === value.length && argv[0]?.startsWith('/')) return argv;
  } catch {
    // Reported below, like every other wrong value.
  }
  throw badRunner(imageLabels.runner);
}

function badRunner(label: string): SlipwayError {
  return new SlipwayError(
    'invalid-input',
    'image-runner-label',
    `The image's label ${label} is wrong: the runner is a JSON list of an absolute program and its arguments, ` +
      'its protocol a whole number.',
  );
}

function isProgram(rootfs: string, path: string): boolean {
  const stats = lstatOf([rootfs, ...resolveParts(rootfs, path.split('/'))].join('/'));
  return stats?.isFile() === true && (stats.mode & 0o111) !== 0;
}
