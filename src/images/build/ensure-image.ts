/**
 * Builds one of our own images when the store lacks it, has it damaged or from another recipe: what set-up calls. The
 * digest of the recipe's inputs is a label of the image, so that nothing is built twice and nothing stale
 * stays.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Digest, parseDigest } from '../../base/digest.ts';
import { isSlipwayError, SlipwayError } from '../../base/errors.ts';
import { type Image, imageLabels } from '../../model/image.ts';
import type { ImageStore } from '../image-store.ts';
import { buildImage } from './build-image.ts';
import type { HostEnvironment } from './build-settings.ts';
import type { BuildOutput } from './buildah.ts';

/** Paths below the repository's root that each recipe is made of. */
const recipes: Readonly<Record<string, readonly string[]>> = {
  python: ['images/python', 'python/slipway', 'python/slipway_runner'],
};

export interface EnsureOptions extends BuildOutput {
  /** The repository, or wherever `images/` and `python/` were staged. */
  readonly projectRoot: string;
  readonly hostEnv: HostEnvironment;
}

/**
 * @param name one of our own recipes: `python`
 * @returns the image, built now or before
 */
export async function ensureImage(store: ImageStore, name: string, options: EnsureOptions): Promise<Image> {
  const recipe = await recipeDigest(name, options.projectRoot);
  const there = await current(store, name, recipe);
  if (there) return there;
  return buildImage({
    ...options,
    store,
    name,
    contextDir: options.projectRoot,
    dockerfile: join(options.projectRoot, 'images', name, 'Dockerfile'),
    labels: { [imageLabels.recipe]: recipe },
  });
}

/** Whether `ensureImage` would have nothing to do: 0.1 s. */
export async function isImageCurrent(store: ImageStore, name: string, projectRoot: string): Promise<boolean> {
  return (await current(store, name, await recipeDigest(name, projectRoot))) !== undefined;
}

async function current(store: ImageStore, name: string, recipe: Digest): Promise<Image | undefined> {
  try {
    const image = await store.resolve(name);
    if (image.labels[imageLabels.recipe] !== recipe) return undefined;
    await store.verify(image, 'quick');
    return image;
  } catch (error) {
    if (isSlipwayError(error, 'image-not-found') || isSlipwayError(error, 'image-corrupted'))
      return undefined;
    throw error;
  }
}

/** The digest of a recipe's files, by name and content. */
export async function recipeDigest(name: string, projectRoot: string): Promise<Digest> {
  const paths = recipes[name];
  if (paths === undefined) {
    const known = Object.keys(recipes).join(', ');
    throw new SlipwayError(
      'not-found',
      'recipe-not-found',
      `There is no recipe "${name}"; there is: ${known}.`,
    );
  }
  const hash = createHash('sha256');
  for (const path of paths) {
    for (const file of await filesBelow(projectRoot, path)) {
      const content = await readFile(join(projectRoot, file));
      hash.update(`${file}\0${content.length}\0`).update(content);
    }
  }
  return parseDigest(`sha256:${hash.digest('hex')}`);
}

async function filesBelow(projectRoot: string, path: string): Promise<string[]> {
  const entries = await readdir(join(projectRoot, path), { withFileTypes: true });
  const kept = entries
    .filter(({ name }) => name !== '__pycache__')
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const lists = kept.map((entry) => {
    const child = join(path, entry.name);
    return entry.isDirectory() ? filesBelow(projectRoot, child) : [child];
  });
  return (await Promise.all(lists)).flat();
}
