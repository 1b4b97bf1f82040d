/** `slipway image remove | gc`: makes room, without taking anything away that is in use. */
import type { Command } from 'commander';
import { formatBytes } from '../../base/units.ts';
import type { Garbage } from '../../images/collect-garbage.ts';
import { type ImageContext, type JsonFlag, openProgress } from './context.ts';
import { printJson, shortDigest } from './print.ts';

interface GcFlags extends JsonFlag {
  readonly dryRun?: boolean;
}

export function addRemove(command: Command, context: ImageContext): void {
  command
    .command('remove')
    .description('remove a name; with the last one the image, unless something uses it')
    .argument('<image>', 'a name, a digest, or the first 12 digits of one')
    .option('--json', 'print the result as JSON')
    .action(async (reference: string, flags: JsonFlag) => {
      await using progress = openProgress(context, `removing ${reference}`);
      const store = context.getStore();
      const image = await store.resolve(reference);
      const options = {
        progress: progress.line,
        signal: context.signal,
        keep: await context.getNeeded(context.signal),
      };
      const isGone = await store.remove(reference, options);
      const left = isGone ? [] : (await store.resolve(image.digest)).names;
      if (flags.json) return printJson({ digest: image.digest, removed: isGone, names: left }, context.out);
      const rest =
        left.length > 0
          ? `it is still ${left.join(', ')}`
          : 'it is in use; `slipway image gc` removes it later';
      context.out.write(
        `${isGone ? 'removed' : 'name removed'} ${shortDigest(image)}${isGone ? '' : `: ${rest}`}\n`,
      );
    });
}

export function addGc(command: Command, context: ImageContext): void {
  command
    .command('gc')
    .description(
      'remove images without a name and blobs without an image, if no run and no sandbox uses them',
    )
    .option('--dry-run', 'say what would go, and keep it')
    .option('--json', 'print the result as JSON')
    .action(async ({ dryRun = false, json }: GcFlags) => {
      await using progress = openProgress(context, 'collecting garbage');
      const keep = await context.getNeeded(context.signal);
      const options = { dryRun, keep, signal: context.signal, progress: progress.line };
      const garbage = await context.getStore().collectGarbage(options);
      if (json) return printJson({ ...garbage, dryRun }, context.out);
      context.out.write(describe(garbage, dryRun));
    });
}

function describe({ images, inUse, blobs, freedBytes }: Garbage, dryRun: boolean): string {
  const gone = dryRun ? 'would remove' : 'removed';
  const lines = [
    ...images.map((image) => `${gone} ${shortDigest(image)}, ${formatBytes(image.sizeBytes)}`),
    ...inUse.map((digest) => `in use: ${shortDigest({ digest })}`),
    `${gone} ${blobs.count} blobs, ${formatBytes(blobs.sizeBytes)}`,
    `${dryRun ? 'would free' : 'freed'} ${formatBytes(freedBytes)}`,
  ];
  return lines.map((line) => `${line}\n`).join('');
}
