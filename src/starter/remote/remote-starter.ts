/**
 * The Starter port over the starter protocol: what the control plane holds. It has no privileges of its own; when
 * the connection ends, every execution on it ends with `starter-unavailable`.
 */
import { type ClientHttp2Session, connect } from 'node:http2';
import type { Duplex } from 'node:stream';
import { z } from 'zod';
import { encodeJsonFrame } from '../../base/frames.ts';
import { randomText } from '../../base/ids.ts';
import { imageSchema } from '../../model/image-schema.ts';
import { probeSchema } from '../../runtime/probe-schema.ts';
import type { Starter } from '../starter.ts';
import { exchange, open } from './connection.ts';
import { http2Settings, sessionWindowBytes } from './protocol.ts';
import { runRemotely } from './remote-execution.ts';

export interface RemoteStarter extends Starter {
  /** Tells the starter where this control plane serves. */
  announce(url: string): Promise<void>;
  /** Resolves when the connection to the starter has ended. */
  readonly closed: Promise<void>;
}

/** @param connection a connected stream to a starter; it belongs to the result from now on */
export function createRemoteStarter(connection: Duplex): RemoteStarter {
  const session = connect('http://starter', { createConnection: () => connection, settings: http2Settings });
  session.once('connect', () => session.setLocalWindowSize(sessionWindowBytes));
  session.on('error', () => undefined); // every stream of it reports by itself
  const closed = new Promise<void>((resolve) => session.once('close', resolve));
  return {
    closed,
    probe: async (signal) => probeSchema.parse(await get(session, '/v1/probe', signal)),
    listImages: async (signal) => z.array(imageSchema).parse(await get(session, '/v1/images', signal)),
    resolveImage: async (reference, signal) =>
      imageSchema.parse(await get(session, `/v1/images/${encodeURIComponent(reference)}`, signal)),
    execute: (order, feed, signal) =>
      runRemotely({ request: opener(session), order, feed, id: randomText(20) }, signal),
    announce: async (url) => {
      await exchange(open(session, 'POST', '/v1/announcement'), encodeJsonFrame({ url }));
    },
    async [Symbol.asyncDispose]() {
      session.destroy();
      await closed;
    },
  };
}

function opener(session: ClientHttp2Session) {
  return (path: string) => open(session, 'POST', path);
}

async function get(session: ClientHttp2Session, path: string, signal: AbortSignal): Promise<unknown> {
  signal.throwIfAborted();
  const stream = open(session, 'GET', path);
  const abort = () => stream.close();
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await exchange(stream);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
