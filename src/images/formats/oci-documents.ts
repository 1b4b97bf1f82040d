/**
 * The JSON documents of the OCI image specification, parsed from hostile text: index, manifest, config.
 * Docker's media types for the same documents are accepted too. Unknown fields are dropped.
 */
import { open } from 'node:fs/promises';
import { z } from 'zod';
import { type Digest, isDigest } from '../../base/digest.ts';
import { SlipwayError } from '../../base/errors.ts';

const maxDocumentBytes = 8 * 1024 * 1024;
const maxLayers = 500;

const digest = z.custom<Digest>(isDigest, 'is not a sha256 digest');
const text = z.string().max(64 * 1024);
// Go writes an empty list or map as null.
const texts = z
  .array(text)
  .max(10_000)
  .nullish()
  .transform((list) => list ?? []);

const labels = z
  .record(text, text)
  .nullish()
  .transform((map) => map ?? {});

const descriptor = z.object({
  mediaType: text.optional(),
  digest,
  size: z.number().int().nonnegative(),
  platform: z
    .object({ architecture: text, os: text, variant: text.exactOptional() })
    .nullish()
    .transform((platform) => platform ?? undefined),
  annotations: labels,
});

const index = z.object({ manifests: z.array(descriptor).min(1).max(1000) });

const manifest = z.object({
  mediaType: text.exactOptional(),
  config: descriptor,
  layers: z.array(descriptor).max(maxLayers),
});

const config = z.object({
  created: text.optional(),
  architecture: text,
  variant: text.exactOptional(),
  os: z.literal('linux'),
  config: z
    .object({
      User: text.optional(),
      Env: texts,
      Entrypoint: texts,
      Cmd: texts,
      WorkingDir: text.optional(),
      Labels: labels,
    })
    .nullish(),
  rootfs: z.object({ diff_ids: z.array(digest).max(maxLayers) }),
});

const dockerManifest = z
  .array(z.object({ Config: text, Layers: z.array(text).max(maxLayers), RepoTags: texts }))
  .min(1)
  .max(1000);

/** The media type of a manifest that does not say its own. */
export const ociManifestType = 'application/vnd.oci.image.manifest.v1+json';

/** Whether a document that a registry sent is an index (of several images) or the manifest of one. */
export function isIndex(json: string): boolean {
  const shape = z.object({ manifests: z.array(z.unknown()) });
  return shape.safeParse(parseJson('manifest', json)).success;
}

export type Descriptor = z.infer<typeof descriptor>;
export type OciIndex = z.infer<typeof index>;
export type OciManifest = z.infer<typeof manifest>;
export type OciConfig = z.infer<typeof config>;
/** `manifest.json` of `docker save`. */
export type DockerManifest = z.infer<typeof dockerManifest>;

export const parseIndex = (json: string): OciIndex => parse(index, 'index', json);
export const parseManifest = (json: string): OciManifest => parse(manifest, 'manifest', json);
export const parseConfig = (json: string): OciConfig => parse(config, 'config', json);
export const parseDockerManifest = (json: string): DockerManifest =>
  parse(dockerManifest, 'manifest.json', json);

/** The text of a document; refuses what is larger than any honest one. */
export async function readDocument(path: string): Promise<string> {
  await using file = await open(path, 'r');
  const { size } = await file.stat();
  if (size > maxDocumentBytes) throw unreadable('a document', `it has ${size} bytes`);
  return (await file.readFile()).toString('utf8');
}

function parse<T>(schema: z.ZodType<T>, what: string, json: string): T {
  const value = parseJson(what, json);
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw unreadable(what, `${issue?.path.join('.') || 'it'}: ${issue?.message ?? 'is wrong'}`);
}

function parseJson(what: string, json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    throw unreadable(what, 'it is not JSON');
  }
}

export function unreadable(what: string, why: string): SlipwayError {
  return new SlipwayError(
    'invalid-input',
    'image-unreadable',
    `The image's ${what} cannot be used (${why}). Export the image again, for Linux.`,
  );
}
