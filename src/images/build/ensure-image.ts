/**
 * Builds one of our own images when the store lacks it, has it damaged or from another recipe: what set-up calls. The
 * digest of the recipe's inputs is a label of the image, so that nothing is built twice and nothing stale
 * stays.
 */
import { createHash } from 'node:crypto';
import { cp, readdir, readFile } from 'node:fs/promises';
import { arch } from 'node:os';
import { basename, join } from 'node:path';
import { type Digest, parseDigest } from '../../base/digest.ts';
import { isSlipwayError, SlipwayError } from '../../base/errors.ts';
import { type Image, imageLabels } from '../../model/image.ts';
import type { ImageStore } from '../image-store.ts';
import type { RegistryPolicy } from '../registry/registry-policy.ts';
import { buildImage } from './build-image.ts';
import type { HostEnvironment } from './build-settings.ts';
import type { BuildOutput } from './buildah.ts';

/** What each recipe is made of, as paths below the repository's root. */
interface Recipe {
  /** Known by their content. */
  readonly inputs: readonly string[];
  /** Large, and checked by the recipe itself against a digest in its inputs. */
  readonly pinned: readonly string[];
}

const recipes: Readonly<Record<string, Recipe>> = {
  python: { inputs: ['images/python', 'python/slipway', 'python/slipway_runner'], pinned: [] },
  node: {
    inputs: ['images/node', 'node/slipway', 'node/slipway-runner'],
    pinned: [`node_modules/node-linux-${arch()}/bin/node`, `node_modules/node-linux-${arch()}/LICENSE`],
  },
};

/** Our own images. */
export const recipeNames: readonly string[] = Object.keys(recipes);

export interface EnsureOptions extends BuildOutput {
  /** The repository, or wherever `images/` and `python/` were staged. */
  readonly projectRoot: string;
  readonly hostEnv: HostEnvironment;
  /** Where bases may be pulled from; default: nowhere. */
  readonly policy?: RegistryPolicy | undefined;
}

/**
 * @param name one of our own recipes: `python`, `node`
 * @returns the image, built now or before
 */
export async function ensureImage(store: ImageStore, name: string, options: EnsureOptions): Promise<Image> {
  const recipe = await recipeDigest(name, options.projectRoot);
  const there = await current(store, name, recipe);
  if (there) return there;
  await using workspace = await store.workspace();
  const contextDir = join(workspace.path, 'context');
  await copyInputs(name, options.projectRoot, contextDir);
  return await buildImage({
    ...options,
    store,
    name,
    contextDir,
    dockerfile: join(contextDir, 'images', name, 'Dockerfile'),
    labels: { [imageLabels.recipe]: recipe },
  });
}

/** A context with the recipe's files alone; packages may lie behind a link, which a build would not follow. */
async function copyInputs(name: string, projectRoot: string, contextDir: string): Promise<void> {
  const { inputs, pinned } = recipeOf(name);
  for (const path of [...inputs, ...pinned]) {
    const options = {
      recursive: true,
      dereference: true,
      filter: (from: string) => !isLeftOut(basename(from)),
    };
    await cp(join(projectRoot, path), join(contextDir, path), options);
  }
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
  const hash = createHash('sha256');
  for (const path of recipeOf(name).inputs) {
    for (const file of await filesBelow(projectRoot, path)) {
      const content = await readFile(join(projectRoot, file));
      hash.update(`${file}\0${content.length}\0`).update(content);
    }
  }
  return parseDigest(`sha256:${hash.digest('hex')}`);
}

function recipeOf(name: string): Recipe {
  const recipe = recipes[name];
  if (recipe !== undefined) return recipe;
  throw new SlipwayError(
    'not-found',
    'recipe-not-found',
    `There is no recipe "${name}"; there is: ${recipeNames.join(', ')}.`,
  );
}

/** Caches and tests are no part of an image; staging leaves them out, too. */
function isLeftOut(name: string): boolean {
  return name === '__pycache__' || /\.test\.[cm]?[jt]s$/.test(name);
}

async function filesBelow(projectRoot: string, path: string): Promise<string[]> {
  const entries = await readdir(join(projectRoot, path), { withFileTypes: true });
  const kept = entries.filter((entry) => !isLeftOut(entry.name)).sort((a, b) => (a.name < b.name ? -1 : 1));
  const lists = kept.map((entry) => {
    const child = join(path, entry.name);
    return entry.isDirectory() ? filesBelow(projectRoot, child) : [child];
  });
  return (await Promise.all(lists)).flat();
}
