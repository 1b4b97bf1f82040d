/** What streams into a sandbox, from the blobs. */
import type { FileRef, Run } from '../model/run.ts';
import type { ExecutionFeed, ExecutionOrder } from '../starter/starter.ts';
import type { Blobs } from '../store/blobs.ts';

export function toExecutionOrder({ id, order }: Run): ExecutionOrder {
  return {
    run: id,
    image: order.image,
    program: order.program,
    limits: order.limits,
    outputs: order.outputs,
    stdin: order.stdin !== undefined,
    ...(order.egress !== undefined && { egress: order.egress }),
  };
}

export function createFeed({ order }: Run, blobs: Blobs): ExecutionFeed {
  const code = order.program.kind === 'script' ? order.program.files : [];
  return {
    code: openFiles(code, blobs),
    inputs: openFiles(order.inputs, blobs),
    stdin: order.stdin === undefined ? nothing() : blobs.get(order.stdin),
  };
}

async function* openFiles(files: readonly FileRef[], blobs: Blobs) {
  for (const { path, sizeBytes, digest } of files) yield { path, sizeBytes, content: blobs.get(digest) };
}

async function* nothing(): AsyncGenerator<Uint8Array> {}
