/** A server of the HTTP edge over doubles, with three callers: an operator and two others. */
import { systemClock } from '../../src/base/clock.ts';
import type { App } from '../../src/http/app-type.ts';
import { createHttpServer } from '../../src/http/server.ts';
import { createTokenSecret } from '../../src/http/token.ts';
import { parseRule } from '../../src/model/egress.ts';
import { defaultCeilings, defaultLimits } from '../../src/model/limits.ts';
import { MemoryBlobs, ScriptedRuns, ScriptedStarter, ScriptedTokens } from './http-doubles.ts';

export interface HttpStage {
  readonly app: App;
  readonly runs: ScriptedRuns;
  readonly blobs: MemoryBlobs;
  readonly starter: ScriptedStarter;
  readonly store: ScriptedTokens;
  readonly operator: Headers;
  readonly ann: Headers;
  readonly bob: Headers;
  /** The secret of ann's token. */
  readonly annToken: string;
}

type Headers = { readonly authorization: string };

export const maxBlobBytes = 1000;

export async function createHttpStage(maxBodyBytes = 1024 * 1024): Promise<HttpStage> {
  const parts = {
    runs: new ScriptedRuns(),
    blobs: new MemoryBlobs(),
    starter: new ScriptedStarter(),
    store: new ScriptedTokens(),
  };
  const secrets = [createTokenSecret(), createTokenSecret(), createTokenSecret()] as const;
  parts.store.add(secrets[0], 'admin', 'operator');
  parts.store.add(secrets[1], 'ann', 'caller');
  parts.store.add(secrets[2], 'bob', 'caller');
  const settings = {
    version: '0.0.1',
    defaultLimits,
    ceilings: defaultCeilings,
    egress: [parseRule('api.example.org:443'), parseRule('*.example.net:80')],
    loopbackOnly: true,
    maxBodyBytes,
    maxBlobBytes,
  };
  const app = createHttpServer({ ...parts, clock: systemClock, settings });
  await app.ready();
  const [operator, ann, bob] = secrets.map((secret) => ({ authorization: `Bearer ${secret}` })) as [
    Headers,
    Headers,
    Headers,
  ]; // as many as secrets
  return { app, ...parts, operator, ann, bob, annToken: secrets[1] };
}
