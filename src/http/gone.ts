/**
 * A signal for every request: it aborts when the caller has gone, and when the server begins to stop, whose connections
 * end with their last reply then.
 */
import { SlipwayError } from '../base/errors.ts';
import type { App } from './app-type.ts';

export function addGoneSignal(app: App): void {
  const stopping = new AbortController();
  app.decorateRequest('gone');
  app.addHook('preClose', async () => stopping.abort(serviceStopping()));
  app.addHook('onRequest', async (request, reply) => {
    const left = new AbortController();
    const leave = () => left.abort(stopping.signal.reason ?? callerGone());
    stopping.signal.addEventListener('abort', leave);
    reply.raw.once('close', () => {
      stopping.signal.removeEventListener('abort', leave);
      leave();
      if (stopping.signal.aborted) setImmediate(() => app.server.closeIdleConnections());
    });
    if (stopping.signal.aborted) leave();
    request.gone = left.signal;
  });
}

/** Told to callers whose request cannot be answered any more. */
function serviceStopping(): SlipwayError {
  const message = 'The service is stopping. Send the request again when it is back.';
  return new SlipwayError('unavailable', 'service-stopping', message);
}

/** Told to nobody, but logged. */
function callerGone(): SlipwayError {
  return new SlipwayError('cancelled', 'caller-gone', 'The caller is gone.');
}
