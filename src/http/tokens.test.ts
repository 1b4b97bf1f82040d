import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HttpStage } from '../../tests/support/http-stage.ts';
import { createHttpStage } from '../../tests/support/http-stage.ts';

async function stageFor(t: { after: (end: () => Promise<void>) => void }): Promise<HttpStage> {
  const stage = await createHttpStage();
  t.after(() => stage.app.close());
  return stage;
}

function create({ app }: HttpStage, headers: HttpStage['operator'], payload: object) {
  return app.inject({ method: 'POST', url: '/v1/tokens', headers, payload });
}

test('an operator issues a token, whose secret is shown once', async (t) => {
  const stage = await stageFor(t);
  const reply = await create(stage, stage.operator, { name: 'cat' });
  assert.equal(reply.statusCode, 201, reply.body);
  const { id, name, role, secret, revokedAt } = reply.json();
  assert.deepEqual({ name, role, revokedAt }, { name: 'cat', role: 'caller', revokedAt: null });
  assert.equal(reply.headers['cache-control'], 'no-store');
  const cat = { authorization: `Bearer ${secret}` };
  assert.equal((await stage.app.inject({ url: '/v1/runs', headers: cat })).statusCode, 200);
  const listed = await stage.app.inject({ url: '/v1/tokens', headers: stage.operator });
  assert.deepEqual(
    listed.json().tokens.map((token: { name: string }) => token.name),
    ['admin', 'ann', 'bob', 'cat'],
  );
  assert.ok(!listed.body.includes(secret));
  assert.ok(!listed.body.includes('hash'));
  const url = `/v1/tokens/${id}/revoke`;
  const revoked = await stage.app.inject({ method: 'POST', url, headers: stage.operator });
  assert.equal(revoked.statusCode, 200, revoked.body);
  assert.notEqual(revoked.json().revokedAt, null);
  assert.equal((await stage.app.inject({ url: '/v1/runs', headers: cat })).statusCode, 401);
  const again = await stage.app.inject({ method: 'POST', url, headers: stage.operator });
  assert.equal(again.json().revokedAt, revoked.json().revokedAt);
});

test('tokens of one name are of one principal, which keeps its role', async (t) => {
  const stage = await stageFor(t);
  const second = (await create(stage, stage.operator, { name: 'ann' })).json();
  const payload = { command: [] };
  const { id } = (
    await stage.app.inject({ method: 'POST', url: '/v1/runs', headers: stage.ann, payload })
  ).json();
  const headers = { authorization: `Bearer ${second.secret}` };
  assert.equal((await stage.app.inject({ url: `/v1/runs/${id}`, headers })).statusCode, 200);
  const raised = await create(stage, stage.operator, { name: 'ann', role: 'operator' });
  assert.equal(raised.statusCode, 409);
  assert.equal(raised.json().code, 'principal-has-other-role');
});

test('callers are refused, and so is what cannot be', async (t) => {
  const stage = await stageFor(t);
  for (const [method, url] of [
    ['POST', '/v1/tokens'],
    ['GET', '/v1/tokens'],
    ['POST', '/v1/tokens/token_x/revoke'],
  ] as const) {
    const payload = method === 'POST' && url === '/v1/tokens' ? { payload: { name: 'x' } } : {};
    const refused = await stage.app.inject({ method, url, headers: stage.ann, ...payload });
    assert.equal(refused.statusCode, 403, `${method} ${url}`);
    assert.equal(refused.json().code, 'operators-only');
    assert.equal((await stage.app.inject({ method, url, ...payload })).statusCode, 401);
  }
  for (const body of [
    {},
    { name: '' },
    { name: 'a b' },
    { name: 'x', role: 'king' },
    { name: 'x', more: 1 },
  ]) {
    assert.equal((await create(stage, stage.operator, body)).statusCode, 400, JSON.stringify(body));
  }
  for (const id of ['token_x', `token_${'0'.repeat(26)}`, 'x'.repeat(60)]) {
    const url = `/v1/tokens/${id}/revoke`;
    const reply = await stage.app.inject({ method: 'POST', url, headers: stage.operator });
    assert.equal(reply.json().code, 'token-not-found', id);
  }
});
