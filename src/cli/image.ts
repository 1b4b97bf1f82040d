/**
 * `slipway image build | import | list | show | verify`: the operator's hand on the image store. Results go to
 * standard output (JSON with `--json`), progress to standard error.
 */
import { stat } from 'node:fs/promises';
import { Command } from 'commander';
import { isSlipwayError, SlipwayError } from '../base/errors.ts';
import { formatBytes } from '../base/units.ts';
import { buildImage } from '../images/build/build-image.ts';
import type { HostEnvironment } from '../images/build/build-settings.ts';
import { detectSource } from '../images/formats/detect-source.ts';
import type { ImageStore } from '../images/image-store.ts';
import type { Image } from '../model/image.ts';
import { createLineProgress, type TextSink } from './line-progress.ts';

export interface ImageCommandOptions {
  /** The operator's environment: proxies, CA and pip's settings for builds. */
  readonly hostEnv: HostEnvironment;
  readonly signal?: AbortSignal | undefined;
  readonly out?: TextSink;
  readonly err?: TextSink;
}

interface Context {
  readonly getStore: () => ImageStore;
  readonly hostEnv: HostEnvironment;
  readonly signal: AbortSignal | undefined;
  readonly out: TextSink;
  readonly err: TextSink;
}

interface JsonFlag {
  readonly json?: boolean;
}

/** @param getStore called when a subcommand runs, so that help needs no store */
export function createImageCommand(getStore: () => ImageStore, options: ImageCommandOptions): Command {
  const context: Context = {
    getStore,
    hostEnv: options.hostEnv,
    signal: options.signal,
    out: options.out ?? process.stdout,
    err: options.err ?? process.stderr,
  };
  const command = new Command('image').description('images that sandboxes boot from');
  addBuild(command, context);
  addImport(command, context);
  addList(command, context);
  addShow(command, context);
  addVerify(command, context);
  return command;
}

function addBuild(command: Command, context: Context): void {
  command
    .command('build')
    .description('build a Dockerfile (with buildah, else a Docker Engine); its steps run as root')
    .argument('<dir>', 'the build context')
    .option('-f, --file <file>', 'the Dockerfile (default: <dir>/Dockerfile)')
    .requiredOption('--name <name>', 'the name that the image gets')
    .option('--json', 'print the result as JSON')
    .action(async (contextDir: string, options: JsonFlag & { file?: string; name: string }) => {
      await requireDirectory(contextDir);
      await using progress = createLineProgress(context.err, `building ${options.name}`);
      const { hostEnv, signal } = context;
      const store = context.getStore();
      const request = { store, contextDir, dockerfile: options.file, name: options.name };
      const image = await buildImage({ ...request, hostEnv, signal, progress: progress.line });
      printImage(image, options, context.out);
    });
}

function addImport(command: Command, context: Context): void {
  command
    .command('import')
    .description('import an OCI layout (directory or tar), a docker archive, or a tar of a file system')
    .argument('<path>', 'what to import')
    .requiredOption('--name <name>', 'the name that the image gets')
    .option('--json', 'print the result as JSON')
    .action(async (path: string, options: JsonFlag & { name: string }) => {
      await using progress = createLineProgress(context.err, `importing ${options.name}`);
      const source = await detectSource(path);
      const image = await context
        .getStore()
        .import(source, options.name, { progress: progress.line, signal: context.signal });
      printImage(image, options, context.out);
    });
}

function addList(command: Command, context: Context): void {
  command
    .command('list')
    .description('list the images')
    .option('--json', 'print the result as JSON')
    .action(async (options: JsonFlag) => {
      const images = await context.getStore().list();
      if (options.json) return printJson(images, context.out);
      const rows = images.map((image) => [namesOf(image), shortDigest(image), formatBytes(image.sizeBytes)]);
      context.out.write(table([['NAME', 'DIGEST', 'SIZE'], ...rows]));
    });
}

function addShow(command: Command, context: Context): void {
  command
    .command('show')
    .description('show an image: name, digest, size, packages')
    .argument('<image>', 'a name, a digest, or the first 12 digits of one')
    .option('--json', 'print the result as JSON')
    .action(async (reference: string, options: JsonFlag) => {
      const image = await context.getStore().resolve(reference);
      printImage(image, options, context.out);
      if (!options.json) context.out.write(`\n${packageTable(image)}`);
    });
}

function addVerify(command: Command, context: Context): void {
  command
    .command('verify')
    .description('read everything of an image, or of all, and say what is damaged')
    .argument('[image]', 'a name, a digest, or the first 12 digits of one')
    .option('--json', 'print the result as JSON')
    .action(async (reference: string | undefined, options: JsonFlag) => {
      const store = context.getStore();
      const images = reference === undefined ? await store.list() : [await store.resolve(reference)];
      const found = await findDamages(store, images, context);
      const results = found.map(({ image, error }) => ({
        digest: image.digest,
        names: image.names,
        damage: error?.message ?? null,
      }));
      if (options.json) printJson(results, context.out);
      else
        context.out.write(
          table(found.map(({ image, error }) => [namesOf(image), error?.message ?? 'whole'])),
        );
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
  context: Context,
): Promise<Verified[]> {
  await using progress = createLineProgress(context.err, 'verifying');
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

async function requireDirectory(path: string): Promise<void> {
  const stats = await stat(path).catch(() => undefined);
  if (stats?.isDirectory()) return;
  throw new SlipwayError(
    'not-found',
    'build-context-missing',
    `There is no directory ${JSON.stringify(path)}.`,
  );
}

function printImage(image: Image, { json }: JsonFlag, out: TextSink): void {
  if (json) {
    printJson(image, out);
    return;
  }
  const user = image.user.name ? `${image.user.name} (${image.user.uid})` : String(image.user.uid);
  const facts: string[][] = [
    ['name', namesOf(image)],
    ['digest', image.digest],
    ['size', formatBytes(image.sizeBytes)],
    ['architecture', image.architecture],
    ['user', user],
    ['runner', image.runner ? `protocol ${image.runner.protocol}` : 'none'],
    ['packages', String(image.packages.length)],
    ...image.notes.map((note) => ['note', note]),
  ];
  out.write(table(facts));
}

function packageTable({ packages }: Image): string {
  const rows = packages.map(({ name, version, source }) => [name, version, source]);
  return table([['PACKAGE', 'VERSION', 'FROM'], ...rows]);
}

function printJson(value: unknown, out: TextSink): void {
  out.write(`${JSON.stringify(value, null, 2)}\n`);
}

function namesOf(image: Image): string {
  return image.names.join(', ') || '(none)';
}

function shortDigest(image: Image): string {
  return image.digest.slice('sha256:'.length, 'sha256:'.length + 12);
}

/** Columns of text, as wide as their widest cell. What images say about themselves is shown escaped. */
function table(rows: readonly (readonly string[])[]): string {
  const clean = rows.map((row) => row.map((cell) => cell.replace(/[\p{Cc}\p{Cf}]/gu, '�')));
  const widths = clean.reduce<number[]>(
    (all, row) => row.map((cell, i) => Math.max(cell.length, all[i] ?? 0)),
    [],
  );
  const lines = clean.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  return lines.map((line) => `${line}\n`).join('');
}
