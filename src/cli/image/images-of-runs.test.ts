import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { RunList } from '../../api/run-view.ts';
import { type Digest, digestOf } from '../../base/digest.ts';
import { SlipwayError } from '../../base/errors.ts';
import type { ListRunsQuery } from '../../client/client.ts';
import { imagesOfRuns } from './images-of-runs.ts';

const run = (digest: Digest): RunList['runs'][number] => ({
  id: 'run_1',
  state: 'queued',
  finished: false,
  outcome: null,
  image: { name: 'gone', digest },
  program: { kind: 'command', streams: 'merged' },
  labels: {},
  cancelRequested: false,
  submittedAt: '2026-01-01T00:00:00.000Z',
  startedAt: null,
  finishedAt: null,
  usage: null,
});

describe('imagesOfRuns', () => {
  it('asks for every state that is not an end, page by page', async () => {
    const asked: ListRunsQuery[] = [];
    const pages: Record<string, RunList> = {
      'submitted undefined': { runs: [], next: null },
      'queued undefined': { runs: [run(digestOf('a')), run(digestOf('b'))], next: 'page2' },
      'queued page2': { runs: [run(digestOf('a')), run(digestOf('c'))], next: null },
      'preparing undefined': { runs: [], next: null },
      'running undefined': { runs: [run(digestOf('d'))], next: null },
    };
    const listRuns = async (query: ListRunsQuery = {}) => {
      asked.push(query);
      return pages[`${query.state} ${query.before}`] ?? assert.fail(JSON.stringify(query));
    };
    const found = await imagesOfRuns({ listRuns }, AbortSignal.timeout(1000));
    assert.deepEqual([...found], ['a', 'b', 'c', 'd'].map(digestOf));
    assert.equal(asked.length, 5);
  });

  it('needs nothing of a service that does not run, but does not guess when it cannot ask', async () => {
    const failing = (code: string) => ({
      listRuns: () => Promise.reject(new SlipwayError('unavailable', code, '')),
    });
    assert.equal((await imagesOfRuns(failing('server-unreachable'), AbortSignal.timeout(1000))).size, 0);
    await assert.rejects(imagesOfRuns(failing('unauthenticated'), AbortSignal.timeout(1000)));
  });
});
