/**
 * Unpacks one layer of an OCI image over the layers below it: tar in, files out, whiteouts applied.
 * A layer is hostile text: an entry that could touch anything outside the root, or that an image has no
 * business to hold, refuses the whole image and is named. The caller removes the half-made tree.
 * Source: the OCI image specification, layer.md. Next: layer-writer.ts (the files), layer-source.ts
 * (decompression, limits).
 */
import type { Writable } from 'node:stream';
import { extract as createExtract, type Header } from 'tar-stream';
import type { Digest } from '../../base/digest.ts';
import { messageOf, SlipwayError, systemCode } from '../../base/errors.ts';
import { parseEntry } from './layer-entry.ts';
import { layerError } from './layer-error.ts';
import { pourLayer } from './layer-source.ts';
import { LayerWriter } from './layer-writer.ts';
import { PathProblem } from './rooted-path.ts';
import type { UnpackBudget } from './unpack-limits.ts';

export interface AppliedLayer {
  /** Digest of the uncompressed tar. */
  readonly diffId: Digest;
  /** Entries whose extended attributes (file capabilities among them) were left out. */
  readonly ignoredXattrs: number;
  /** Entries beside which there is one whose name differs in its Unicode form alone. */
  readonly lookAlikes: number;
  /** Entries whose names are not UTF-8 and were altered. */
  readonly lossyNames: number;
}

export interface ApplyOptions {
  /** An existing directory that nobody else can write. */
  readonly root: string;
  readonly budget: UnpackBudget;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Applies the layer in the file `path` (tar, plain or compressed with gzip or zstd).
 *
 * @throws SlipwayError `image-refused` (the entry is named), `image-too-large`, `image-corrupted`.
 */
export async function applyLayer(
  path: string,
  { root, budget, signal }: ApplyOptions,
): Promise<AppliedLayer> {
  const extract = createExtract();
  // tar-stream's types describe a streamx stream, which Node's pipeline takes for a Writable.
  const sink = extract as unknown as Writable;
  const poured = pourLayer(path, sink, { budget, signal });
  // Its failure must end the iteration below, also when it fails before it has written anything.
  poured.catch((error: unknown) =>
    extract.destroy(error instanceof Error ? error : new Error(String(error))),
  );
  const writer = new LayerWriter(root);
  try {
    for await (const entry of extract) {
      budget.addEntry();
      await applyEntry(writer, entry.header, { content: entry, budget });
      entry.resume();
    }
    const diffId = await poured;
    writer.finish();
    return { diffId, ...writer.remarks };
  } catch (error) {
    extract.destroy();
    await poured.catch(() => undefined);
    throw layerError(error, signal);
  }
}

async function applyEntry(
  writer: LayerWriter,
  header: Header,
  { content, budget }: { content: AsyncIterable<unknown>; budget: UnpackBudget },
): Promise<void> {
  try {
    const entry = parseEntry(header, content);
    if (entry.kind === 'file') budget.addHoles(entry.sparseBytes ?? 0);
    await writer.apply(entry);
  } catch (error) {
    if (error instanceof PathProblem) throw refusedEntry(header.name, error.message, error);
    const code = systemCode(error);
    if (
      code === 'ENAMETOOLONG' ||
      code === 'ENOTDIR' ||
      code === 'ELOOP' ||
      code?.startsWith('ERR_INVALID')
    ) {
      throw refusedEntry(header.name, messageOf(error), error);
    }
    throw error;
  }
}

function refusedEntry(name: string, reason: string, cause: unknown): SlipwayError {
  const shown = JSON.stringify(name.length > 200 ? `${name.slice(0, 200)}…` : name);
  return new SlipwayError(
    'invalid-input',
    'image-refused',
    `The image is refused because of its entry ${shown}: ${reason}. Build the image without it.`,
    { details: { entry: name.slice(0, 1000) }, cause },
  );
}
