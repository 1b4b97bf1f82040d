/** `slipway image import | export`: images from and to files. */
import { type Command, Option } from 'commander';
import { type ExportFormat, exportFormats, exportImage } from '../../images/export-image.ts';
import { detectSource } from '../../images/formats/detect-source.ts';
import { parsePlatform } from '../../images/formats/platform.ts';
import { type ImageContext, type JsonFlag, openProgress } from './context.ts';
import { printImage } from './print.ts';

interface ImportFlags extends JsonFlag {
  readonly name: string;
  readonly select?: string;
  readonly platform?: string;
}

interface ExportFlags extends JsonFlag {
  readonly format: ExportFormat;
}

export function addImport(command: Command, context: ImageContext): void {
  command
    .command('import')
    .description('import an OCI layout or a docker archive (directory or tar), or a tar of a file system')
    .argument('<path>', 'what to import')
    .requiredOption('--name <name>', 'the name that the image gets')
    .option('--select <name>', 'which image, by its name there or its digest, where several are in it')
    .option('--platform <platform>', 'for which machine, such as linux/arm64 (default: this one)')
    .option('--json', 'print the result as JSON')
    .action(async (path: string, flags: ImportFlags) => {
      await using progress = openProgress(context, `importing ${flags.name}`);
      const platform = flags.platform === undefined ? undefined : parsePlatform(flags.platform);
      const source = { ...(await detectSource(path)), select: flags.select, platform };
      const options = { progress: progress.line, signal: context.signal };
      const image = await context.getStore().import(source, flags.name, options);
      printImage(image, flags, context.out);
    });
}

export function addExport(command: Command, context: ImageContext): void {
  command
    .command('export')
    .description('write an image to a file or a directory, with the same digest')
    .argument('<image>', 'a name, a digest, or the first 12 digits of one')
    .argument('<target>', 'a new file (FILE.tar), or a new or empty directory')
    .addOption(
      new Option(
        '--format <format>',
        'oci: an OCI layout; docker: an archive for "docker load", always a file',
      )
        .choices([...exportFormats])
        .default('oci'),
    )
    .option('--json', 'print the result as JSON')
    .action(async (image: string, target: string, flags: ExportFlags) => {
      await using progress = openProgress(context, `exporting ${image}`);
      const options = {
        image,
        target,
        format: flags.format,
        progress: progress.line,
        signal: context.signal,
      };
      printImage(await exportImage(context.getStore(), options), flags, context.out);
    });
}
