/** `slipway image pull | push`: images from and to registries. */
import type { Command } from 'commander';
import { parseDuration } from '../../base/units.ts';
import { parsePlatform } from '../../images/formats/platform.ts';
import { pullImage } from '../../images/registry/pull-image.ts';
import { pushImage } from '../../images/registry/push-image.ts';
import { type ImageContext, type JsonFlag, openProgress } from './context.ts';
import { printImage } from './print.ts';

interface TransferFlags extends JsonFlag {
  readonly credsFile?: string;
  readonly timeout: string;
}

interface PullFlags extends TransferFlags {
  readonly name?: string;
  readonly platform?: string;
}

export function addPull(command: Command, context: ImageContext): void {
  withTransferOptions(
    command
      .command('pull')
      .description('fetch an image from a registry that SLIPWAY_REGISTRIES allows')
      .argument('<reference>', 'such as registry.example.com/team/tools:1.2, or NAME@sha256:…')
      .option('--name <name>', 'the name that the image gets here (default: that of the registry)')
      .option('--platform <platform>', 'for which machine, such as linux/arm64 (default: this one)'),
  ).action(async (reference: string, flags: PullFlags) => {
    await using progress = openProgress(context, `pulling ${reference}`);
    const image = await pullImage({
      ...transferOptions(context, flags),
      reference,
      name: flags.name,
      platform: flags.platform === undefined ? undefined : parsePlatform(flags.platform),
      policy: context.getPolicy(),
      progress: progress.line,
    });
    printImage(image, flags, context.out);
  });
}

export function addPush(command: Command, context: ImageContext): void {
  withTransferOptions(
    command
      .command('push')
      .description('send an image to a registry, with the same digest')
      .argument('<image>', 'a name, a digest, or the first 12 digits of one')
      .argument('<reference>', 'where to: registry.example.com/team/tools:1.2'),
  ).action(async (image: string, reference: string, flags: TransferFlags) => {
    await using progress = openProgress(context, `pushing ${reference}`);
    const options = { ...transferOptions(context, flags), image, reference, progress: progress.line };
    printImage(await pushImage(options), flags, context.out);
  });
}

function withTransferOptions(command: Command): Command {
  return command
    .option(
      '--creds-file <file>',
      'credentials: what "docker login" or "skopeo login" writes, or one line user:password (default: ~/.docker/config.json)',
    )
    .option('--timeout <duration>', 'how long it may take', '30m')
    .option('--json', 'print the result as JSON');
}

function transferOptions(context: ImageContext, { credsFile, timeout }: TransferFlags) {
  const { hostEnv, signal } = context;
  const credentials = { file: credsFile, home: hostEnv['HOME'] };
  return { store: context.getStore(), hostEnv, credentials, timeoutMs: parseDuration(timeout), signal };
}
