/** `slipway image build`: a Dockerfile, or one of our own recipes by its name. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { SlipwayError } from '../../base/errors.ts';
import { buildImage } from '../../images/build/build-image.ts';
import { ensureImage, recipeNames } from '../../images/build/ensure-image.ts';
import type { Image } from '../../model/image.ts';
import { type ImageContext, type JsonFlag, openProgress } from './context.ts';
import { printImage } from './print.ts';

interface BuildFlags extends JsonFlag {
  readonly file?: string;
  readonly name?: string;
}

const projectRoot = join(import.meta.dirname, '..', '..', '..');

export function addBuild(command: Command, context: ImageContext): void {
  command
    .command('build')
    .description('build a Dockerfile (with buildah, else a Docker Engine); its steps run as root')
    .argument('<dir>', `the build context, or one of our own recipes: ${recipeNames.join(', ')}`)
    .option('-f, --file <file>', 'the Dockerfile (default: <dir>/Dockerfile)')
    .option('--name <name>', 'the name that the image gets; a recipe of ours has its own')
    .option('--json', 'print the result as JSON')
    .action(async (what: string, flags: BuildFlags) => {
      await using progress = openProgress(context, `building ${flags.name ?? what}`);
      const image = await build(what, flags, { context, progress: progress.line });
      await progress[Symbol.asyncDispose]();
      printImage(image, flags, context.out);
    });
}

async function build(
  what: string,
  { file, name }: BuildFlags,
  { context, progress }: { context: ImageContext; progress: (line: string) => void },
): Promise<Image> {
  const { hostEnv, signal } = context;
  const store = context.getStore();
  const output = { hostEnv, signal, progress, policy: context.getPolicy() };
  if (await isRecipe(what, file, name)) return ensureImage(store, what, { ...output, projectRoot });
  await requireDirectory(what);
  if (name !== undefined) return buildImage({ store, contextDir: what, dockerfile: file, name, ...output });
  throw new SlipwayError('invalid-input', 'bad-command-line', 'An image needs a name: give it by --name.');
}

/** A directory with a Dockerfile is what it looks like, whatever its name. */
async function isRecipe(what: string, file: string | undefined, name: string | undefined): Promise<boolean> {
  if (!recipeNames.includes(what) || file !== undefined || name !== undefined) return false;
  return (await stat(join(what, 'Dockerfile')).catch(() => undefined)) === undefined;
}

async function requireDirectory(path: string): Promise<void> {
  const stats = await stat(path).catch(() => undefined);
  if (stats?.isDirectory()) return;
  throw new SlipwayError(
    'not-found',
    'build-context-missing',
    `There is no directory ${JSON.stringify(path)}.`,
  );
}
