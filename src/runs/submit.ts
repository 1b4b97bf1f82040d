/** Accepting a run: checked, durable, then let into the queue. */
import { messageOf, SlipwayError } from '../base/errors.ts';
import { createId } from '../base/ids.ts';
import { assertDistinctPaths } from '../model/paths.ts';
import type { FileRef, Namespace, PrincipalId, Run, RunOrder } from '../model/run.ts';
import type { Blobs } from '../store/blobs.ts';
import type { EngineContext } from './engine-context.ts';

/** What is asked for, and by whom; the image is resolved and the limits are complete. */
export interface Submission {
  readonly namespace: Namespace;
  readonly principal: PrincipalId;
  readonly order: RunOrder;
  readonly labels: Readonly<Record<string, string>>;
}

/**
 * Accepts a run; when the promise resolves, it is not lost.
 *
 * @throws SlipwayError `bad-path`, `entry-missing`, `blob-missing`, `blob-size-mismatch`, `principal-not-found`,
 *   and what the store throws
 */
export async function submitRun(context: EngineContext, submission: Submission): Promise<Run> {
  const { store, clock, logger, work } = context;
  assertOrder(submission.order);
  await assertBlobs(submission.order, context.blobs);
  const submittedAt = clock.now();
  const submitted = await store.submitRun({ ...submission, id: createId('run', submittedAt), submittedAt });
  try {
    const admitted = await store.admitRun(submitted.id);
    work.signal();
    return admitted;
  } catch (error) {
    // It is accepted all the same: keep-leases.ts admits it later.
    logger.warn({ run: submitted.id, error: messageOf(error) }, 'a run waits for its admission');
    return submitted;
  }
}

function assertOrder({ program, inputs }: RunOrder): void {
  const paths = (files: readonly FileRef[]) => files.map((file) => file.path);
  assertDistinctPaths(paths(inputs), 'input file');
  if (program.kind !== 'script') return;
  assertDistinctPaths(paths(program.files), 'file of the script');
  if (program.files.some((file) => file.path === program.entry)) return;
  const message = `The entry ${JSON.stringify(program.entry)} is none of the script's files. Name one of them.`;
  throw new SlipwayError('invalid-input', 'entry-missing', message);
}

async function assertBlobs({ program, inputs, stdin }: RunOrder, blobs: Blobs): Promise<void> {
  const code = program.kind === 'script' ? program.files : [];
  for (const { digest, sizeBytes, path } of [...code, ...inputs]) {
    const found = await blobs.size(digest);
    if (found === undefined) throw blobMissing(digest);
    if (found !== sizeBytes) throw sizeMismatch(path, sizeBytes, found);
  }
  if (stdin !== undefined && (await blobs.size(stdin)) === undefined) throw blobMissing(stdin);
}

function blobMissing(digest: string): SlipwayError {
  const message = `There is no blob ${digest}. Upload it first.`;
  return new SlipwayError('invalid-input', 'blob-missing', message, { details: { digest } });
}

function sizeMismatch(path: string, claimed: number, found: number): SlipwayError {
  const message = `The file ${JSON.stringify(path)} is said to have ${claimed} bytes, but its blob has ${found}. Give the true size.`;
  return new SlipwayError('invalid-input', 'blob-size-mismatch', message);
}
