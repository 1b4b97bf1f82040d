/** From a request to a run's order: contents become blobs, the image is pinned, limits are filled and checked. */

import type { SubmitRequest } from '../api/submit-request.ts';
import type { ContentInput, FileInput } from '../api/texts.ts';
import { SlipwayError } from '../base/errors.ts';
import { assertEgressAllowed, type EgressTarget, parseHostPattern } from '../model/egress.ts';
import type { Limits } from '../model/limits.ts';
import { assertWithinCeilings, limitsSchema } from '../model/limits.ts';
import { assertDistinctPaths } from '../model/paths.ts';
import type { CodeFile, Program } from '../model/program.ts';
import type { FileRef, RunOrder } from '../model/run.ts';
import { toScriptRequest } from '../model/runner-protocol.ts';
import type { ContentRef, HttpServices } from './services.ts';

type OrderServices = Pick<HttpServices, 'blobs' | 'starter' | 'settings'>;

/**
 * The order of a validated request. What is cheap to refuse is refused before anything is stored.
 *
 * @throws SlipwayError `limit-over-ceiling`, `egress-not-allowed`, `image-not-found`, `image-without-runner`, `blob-missing`,
 *   `bad-path`, `entry-missing`, `script-too-large`, `bad-script-request`
 */
export async function toRunOrder(
  request: SubmitRequest,
  services: OrderServices,
  signal: AbortSignal,
): Promise<RunOrder> {
  const limits = chooseLimits(request, services.settings);
  const egress = toEgress(request, services.settings);
  const inputs = request.inputs ?? [];
  const code = codeOf(request);
  assertDistinctPaths(
    inputs.map((file) => file.path),
    'input file',
  );
  assertDistinctPaths(
    code.files.map((file) => file.path),
    'file of the script',
  );
  assertEntry(code, request);
  const image = await services.starter.resolveImage(request.image, signal);
  if (request.script !== undefined && image.runner === undefined) throw noRunner(request.image);
  const program = toProgram(request, code.entry, await storeFiles(code.files, services));
  if (program.kind === 'script') toScriptRequest(program); // refuses what the runner would
  return {
    program,
    image: image.digest,
    imageName: request.image,
    limits,
    inputs: await storeFiles(inputs, services),
    ...(request.stdin !== undefined && { stdin: (await storeContent(request.stdin, services)).digest }),
    outputs: request.outputs,
    ...(egress.length > 0 && { egress }),
  };
}

function toEgress({ egress = [] }: SubmitRequest, settings: HttpServices['settings']): EgressTarget[] {
  const targets = egress.map(({ host, port }) => ({ host: parseHostPattern(host), port }));
  assertEgressAllowed(targets, settings.egress);
  return targets;
}

function chooseLimits(request: SubmitRequest, settings: HttpServices['settings']): Limits {
  const asked = Object.entries(request.limits ?? {}).filter(([, value]) => value !== undefined);
  const limits = limitsSchema.parse({ ...settings.defaultLimits, ...Object.fromEntries(asked) });
  assertWithinCeilings(limits, settings.ceilings);
  return limits;
}

interface Code {
  readonly entry: string;
  readonly files: readonly FileInput[];
}

function codeOf({ script }: SubmitRequest): Code {
  if (script === undefined) return { entry: '', files: [] };
  if (script.files !== undefined) return { entry: script.entry ?? '', files: script.files };
  const name = script.name ?? 'script.py';
  return { entry: name, files: [{ path: name, text: script.source ?? '' }] };
}

function assertEntry(code: Code, request: SubmitRequest): void {
  if (request.script === undefined || code.files.some((file) => file.path === code.entry)) return;
  const message = `The entry ${JSON.stringify(code.entry)} is none of the script's files. Name one of them.`;
  throw new SlipwayError('invalid-input', 'entry-missing', message);
}

function toProgram(request: SubmitRequest, entry: string, files: readonly CodeFile[]): Program {
  const { streams } = request;
  const env = request.env ?? {};
  if (request.command !== undefined) return { kind: 'command', argv: request.command, env, streams };
  return {
    kind: 'script',
    entry,
    files,
    args: request.args ?? [],
    env,
    context: request.context ?? null,
    streams,
  };
}

async function storeFiles(files: readonly FileInput[], services: OrderServices): Promise<FileRef[]> {
  const refs: FileRef[] = [];
  for (const file of files) refs.push({ path: file.path, ...(await storeContent(file, services)) });
  return refs;
}

async function storeContent(content: ContentInput, { blobs, settings }: OrderServices): Promise<ContentRef> {
  if (content.digest !== undefined) return findContent(content.digest, blobs);
  const bytes = Buffer.from(
    content.text ?? content.base64 ?? '',
    content.text === undefined ? 'base64' : 'utf8',
  );
  return blobs.put(oneChunk(bytes), { maxBytes: settings.maxBodyBytes });
}

async function findContent(digest: ContentRef['digest'], blobs: HttpServices['blobs']): Promise<ContentRef> {
  const sizeBytes = await blobs.size(digest);
  if (sizeBytes !== undefined) return { digest, sizeBytes };
  const message = `There is no blob ${digest}. Upload it first (POST /v1/blobs).`;
  throw new SlipwayError('invalid-input', 'blob-missing', message, { details: { digest } });
}

async function* oneChunk(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes;
}

function noRunner(image: string): SlipwayError {
  return new SlipwayError(
    'unsupported',
    'image-without-runner',
    `The image ${JSON.stringify(image)} has no runner, so it runs commands but no scripts. Use "command", or another image.`,
  );
}
