/** What several routes do with a run: wait for it, and show it with the end of its output. */
import type { FastifyRequest } from 'fastify';
import type { RunView } from '../api/run-view.ts';
import { parseDuration } from '../base/units.ts';
import type { OutputPreview } from '../model/output-preview.ts';
import { PreviewBuilder } from '../model/output-preview.ts';
import type { Run } from '../model/run.ts';
import { isFinished } from '../model/run.ts';
import type { HttpServices } from './services.ts';
import { toRunView } from './views.ts';

/** How much of each stream a run's view shows, in bytes. */
const previewBytes = 64 * 1024;

interface WaitContext {
  readonly request: FastifyRequest;
  readonly services: Pick<HttpServices, 'runs'>;
}

/** The run once it has finished, or as it is after `wait` (a duration), or when the caller has gone. */
export async function waitAtMost(wait: string | undefined, run: Run, context: WaitContext): Promise<Run> {
  if (wait === undefined || isFinished(run.status)) return run;
  const signal = AbortSignal.any([context.request.gone, AbortSignal.timeout(parseDuration(wait))]);
  return context.services.runs.waitFor(run.id, signal);
}

/** The view of a run; with the end of its output where it has finished. */
export async function toFinishedView(run: Run, services: Pick<HttpServices, 'runs'>): Promise<RunView> {
  return toRunView(run, await previewOf(run, services));
}

async function previewOf(run: Run, services: Pick<HttpServices, 'runs'>): Promise<OutputPreview | null> {
  if (!isFinished(run.status) || run.status.result.log === null) return null;
  const preview = new PreviewBuilder(previewBytes);
  const options = { follow: false, signal: new AbortController().signal };
  for await (const record of services.runs.readLog(run.id, options)) preview.add(record);
  return preview.build();
}
