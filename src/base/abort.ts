/** Small things about AbortSignal. */
import { once } from 'node:events';

/** Rejects with the signal's reason when it aborts; never resolves. */
export async function abortError(signal: AbortSignal): Promise<never> {
  if (!signal.aborted) await once(signal, 'abort');
  throw signal.reason;
}
