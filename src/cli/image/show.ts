/** `slipway image list | show | verify`: what the store has, and whether it is whole. */
import type { Command } from 'commander';
import { isSlipwayError, type SlipwayError } from '../../base/errors.ts';
import { formatBytes } from '../../base/units.ts';
import type { ImageStore } from '../../images/image-store.ts';
import type { Image } from '../../model/image.ts';
import { type ImageContext, type JsonFlag, openProgress } from './context.ts';
import { namesOf, packageTable, printImage, printJson, shortDigest, table } from './print.ts';

export function addList(command: Command, context: ImageContext): void {
  command
    .command('list')
    .description('list the images')
    .option('--json', 'print the result as JSON')
    .action(async (flags: JsonFlag) => {
      const images = await context.getStore().list();
      if (flags.json) return printJson(images, context.out);
      const rows = images.map((image) => [namesOf(image), shortDigest(image), formatBytes(image.sizeBytes)]);
      context.out.write(table([['NAME', 'DIGEST', 'SIZE'], ...rows]));
    });
}

export function addShow(command: Command, context: ImageContext): void {
  command
    .command('show')
    .description('show an image: name, digest, size, packages')
    .argument('<image>', 'a name, a digest, or the first 12 digits of one')
    .option('--json', 'print the result as JSON')
    .action(async (reference: string, flags: JsonFlag) => {
      const image = await context.getStore().resolve(reference);
      printImage(image, flags, context.out);
      if (!flags.json) context.out.write(`\n${packageTable(image)}`);
    });
}

export function addVerify(command: Command, context: ImageContext): void {
  command
    .command('verify')
    .description('read everything of an image, or of all, and say what is damaged')
    .argument('[image]', 'a name, a digest, or the first 12 digits of one')
    .option('--json', 'print the result as JSON')
    .action(async (reference: string | undefined, flags: JsonFlag) => {
      const store = context.getStore();
      const images = reference === undefined ? await store.list() : [await store.resolve(reference)];
      const found = await findDamages(store, images, context);
      const results = found.map(({ image, error }) => ({
        digest: image.digest,
        names: image.names,
        damage: error?.message ?? null,
      }));
      const rows = found.map(({ image, error }) => [namesOf(image), error?.message ?? 'whole']);
      if (flags.json) printJson(results, context.out);
      else context.out.write(table(rows));
      const first = found.find(({ error }) => error !== undefined);
      if (first?.error) throw first.error;
    });
}

interface Verified {
  readonly image: Image;
  readonly error: SlipwayError | undefined;
}

async function findDamages(
  store: ImageStore,
  images: readonly Image[],
  context: ImageContext,
): Promise<Verified[]> {
  await using progress = openProgress(context, 'verifying');
  const found: Verified[] = [];
  for (const image of images) {
    context.signal?.throwIfAborted();
    progress.line(`reading ${namesOf(image)}`);
    const error = await store.verify(image).then(
      () => undefined,
      (thrown: unknown) => {
        if (isSlipwayError(thrown)) return thrown;
        throw thrown;
      },
    );
    found.push({ image, error });
  }
  return found;
}
