/**
 * Brings an image from outside into an import's staging area, whatever its format: afterwards there is one
 * OCI manifest, its config and its layers, all checked against their digests. Nothing is unpacked here but
 * the archive itself (see unpack/ for the layers).
 */
import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Digest, digestOf } from '../../base/digest.ts';
import { isSlipwayError, SlipwayError, systemCode } from '../../base/errors.ts';
import type { BlobStaging } from '../blob-staging.ts';
import { hexOf } from '../store-files.ts';
import { applyLayer } from '../unpack/apply-layer.ts';
import { compressionOf } from '../unpack/layer-source.ts';
import { lstatOf, resolveParts, splitEntryName } from '../unpack/rooted-path.ts';
import { UnpackBudget, type UnpackLimits } from '../unpack/unpack-limits.ts';
import { chooseDescriptor, chooseDockerImage } from './choose-image.ts';
import type { ImageChoice, ImageSource, RootfsConfig } from './image-source.ts';
import {
  ociManifestType,
  parseConfig,
  parseDockerManifest,
  parseIndex,
  parseManifest,
  readDocument,
  unreadable,
} from './oci-documents.ts';
import { hostPlatform } from './platform.ts';
import { diffIdOf, rootfsConfig } from './rootfs-config.ts';

export interface StagingPlace {
  readonly staging: BlobStaging;
  /** A directory for what must be unpacked on the way. */
  readonly scratch: string;
  readonly limits: UnpackLimits;
  readonly signal?: AbortSignal | undefined;
}

const configType = 'application/vnd.oci.image.config.v1+json';
const layerType = 'application/vnd.oci.image.layer.v1.tar';
const maxIndexDepth = 4;

/** @returns the digest of the staged manifest. */
export async function stageImage(source: ImageSource, place: StagingPlace): Promise<Digest> {
  try {
    if (source.kind === 'rootfs') return await stageRootfs(source, place);
    const directory = await directoryOf(source.path, place);
    if (source.kind === 'oci-layout') return await stageLayout(directory, source, place);
    return await stageDockerArchive(directory, source, place);
  } catch (error) {
    if (isSlipwayError(error) || systemCode(error) !== 'ENOENT') throw error;
    throw new SlipwayError(
      'invalid-input',
      'image-unreadable',
      `There is no complete ${source.kind} at ${JSON.stringify(source.path)}: a file is missing.`,
      { cause: error },
    );
  }
}

/** An archive's directory: unpacked by the same applier, with the same limits, as any layer. */
async function directoryOf(path: string, { scratch, limits, signal }: StagingPlace): Promise<string> {
  if ((await stat(path)).isDirectory()) return path;
  const directory = join(scratch, 'archive');
  await mkdir(directory, { mode: 0o700 });
  await applyLayer(path, { root: directory, budget: new UnpackBudget(limits), signal });
  return directory;
}

async function stageLayout(layout: string, choice: ImageChoice, { staging }: StagingPlace): Promise<Digest> {
  const blob = (digest: Digest) => join(layout, 'blobs', 'sha256', hexOf(digest));
  const manifestDigest = await findManifest(join(layout, 'index.json'), { blob, choice });
  await staging.addFile(blob(manifestDigest), manifestDigest);
  const manifest = parseManifest(await readDocument(staging.pathOf(manifestDigest)));
  for (const { digest } of [manifest.config, ...manifest.layers]) await staging.addFile(blob(digest), digest);
  return manifestDigest;
}

/** Walks from the index to the manifest that was asked for; names are given in the outermost index alone. */
async function findManifest(
  indexPath: string,
  { blob, choice }: { blob: (digest: Digest) => string; choice: ImageChoice },
): Promise<Digest> {
  let path = indexPath;
  for (let depth = 0; depth < maxIndexDepth; depth += 1) {
    const { manifests } = parseIndex(await readDocument(path));
    const chosen = chooseDescriptor(manifests, depth === 0 ? choice : { platform: choice.platform });
    if (!/index|manifest\.list/.test(chosen.mediaType ?? '')) return chosen.digest;
    path = blob(chosen.digest);
  }
  throw unreadable('index', 'it points from index to index');
}

async function stageDockerArchive(
  directory: string,
  choice: ImageChoice,
  { staging }: StagingPlace,
): Promise<Digest> {
  const at = (name: string) => fileInArchive(directory, name);
  const image = chooseDockerImage(parseDockerManifest(await readDocument(at('manifest.json'))), choice);
  const config = await staging.addFile(at(image.Config));
  const layers: Digest[] = [];
  for (const layer of image.Layers) layers.push(await staging.addFile(at(layer)));
  return stageManifest(staging, config, layers);
}

/** `docker save` has written layers as links to each other; they are followed inside the archive only. */
function fileInArchive(directory: string, name: string): string {
  const path = join(directory, ...resolveParts(directory, splitEntryName(name)));
  if (lstatOf(path)?.isFile()) return path;
  throw unreadable('archive', `its file ${JSON.stringify(name.slice(0, 200))} is missing`);
}

async function stageRootfs(
  { path, config = {} }: { path: string; config?: RootfsConfig },
  { staging, limits, signal }: StagingPlace,
): Promise<Digest> {
  const layer = await staging.addFile(path);
  const diffId = await diffIdOf(staging.pathOf(layer), new UnpackBudget(limits), signal);
  const document = rootfsConfig(config, { architecture: hostPlatform().architecture, diffId });
  return stageManifest(staging, await staging.addBytes(JSON.stringify(document)), [layer]);
}

/** Writes the manifest for blobs that came without one; the same blobs always give the same manifest. */
async function stageManifest(
  staging: BlobStaging,
  config: Digest,
  layers: readonly Digest[],
): Promise<Digest> {
  const describe = async (mediaType: string, digest: Digest) => ({
    mediaType,
    digest,
    size: (await stat(staging.pathOf(digest))).size,
  });
  const describeLayer = async (digest: Digest) => {
    const compression = await compressionOf(staging.pathOf(digest));
    return describe(compression === 'none' ? layerType : `${layerType}+${compression}`, digest);
  };
  parseConfig(await readDocument(staging.pathOf(config)));
  const manifest = {
    schemaVersion: 2,
    mediaType: ociManifestType,
    config: await describe(configType, config),
    layers: await Promise.all(layers.map(describeLayer)),
  };
  const json = JSON.stringify(manifest);
  await staging.addBytes(json);
  return digestOf(json);
}
