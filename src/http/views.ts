/** From the model to the API's shapes. */

import type { FileList, FileView, RunSummary, RunView } from '../api/run-view.ts';
import type { TokenView } from '../api/token-view.ts';
import type { ImageSummary, ImageView } from '../api/views.ts';
import type { Image } from '../model/image.ts';
import type { OutputPreview } from '../model/output-preview.ts';
import type { Program } from '../model/program.ts';
import type { FileRef, Run, RunResult } from '../model/run.ts';
import { isFinished } from '../model/run.ts';
import type { OwnedToken } from '../store/store.ts';

export function toRunSummary(run: Run): RunSummary {
  const result = resultOf(run);
  return {
    id: run.id,
    state: run.status.state,
    finished: result !== null,
    outcome: result?.outcome ?? null,
    image: { name: run.order.imageName, digest: run.order.image },
    program: toProgramView(run.order.program),
    labels: { ...run.labels },
    cancelRequested: run.cancelRequested,
    submittedAt: isoTime(run.submittedAt),
    startedAt:
      'startedAt' in run.status && run.status.startedAt !== null ? isoTime(run.status.startedAt) : null,
    finishedAt: result === null ? null : isoTime(result.finishedAt),
    usage: result?.usage ?? null,
  };
}

export function toRunView(run: Run, output: OutputPreview | null): RunView {
  return {
    ...toRunSummary(run),
    limits: { ...run.order.limits },
    inputs: run.order.inputs.map(({ path, sizeBytes, digest }) => ({ path, sizeBytes, digest })),
    outputs: [...run.order.outputs],
    egress: [...(run.order.egress ?? [])],
    output,
    ...toFileList(run),
  };
}

export function toFileList(run: Run): FileList {
  const result = resultOf(run);
  return {
    files: (result?.files ?? []).map((file) => toFileView(run, file)),
    skipped: (result?.skipped ?? []).map(({ path, reason }) => ({ path, reason })),
  };
}

function toFileView(run: Run, { path, sizeBytes, digest }: FileRef): FileView {
  const url = `/v1/runs/${run.id}/files/${path.split('/').map(encodeURIComponent).join('/')}`;
  return { path, sizeBytes, digest, url };
}

/** What a finished run left behind, or null. */
export function resultOf(run: Run): RunResult | null {
  return isFinished(run.status) ? run.status.result : null;
}

function toProgramView(program: Program): RunSummary['program'] {
  if (program.kind === 'command') {
    return { kind: 'command', argv: [...program.argv], streams: program.streams };
  }
  return { kind: 'script', entry: program.entry, args: [...program.args], streams: program.streams };
}

export function toImageSummary(image: Image): ImageSummary {
  return {
    digest: image.digest,
    names: [...image.names],
    sizeBytes: image.sizeBytes,
    architecture: image.architecture,
    createdAt: image.createdAt ?? null,
    runsScripts: image.runner !== undefined,
    notes: [...image.notes],
  };
}

export function toImageView(image: Image): ImageView {
  return {
    ...toImageSummary(image),
    packages: [...image.packages],
    user: { uid: image.user.uid, gid: image.user.gid },
    workdir: image.workdir,
    entrypoint: [...image.entrypoint],
    cmd: [...image.cmd],
  };
}

export function toTokenView({ token, principal }: OwnedToken): TokenView {
  return {
    id: token.id,
    name: principal.name,
    role: principal.role,
    createdAt: isoTime(token.createdAt),
    revokedAt: token.revokedAt === null ? null : isoTime(token.revokedAt),
  };
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
