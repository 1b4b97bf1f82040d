/** Tokens, and what each caller may see, over the command line and HTTP of the real service. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Client, createClient } from '../../src/client/client.ts';
import { assertFails } from '../support/assert-fails.ts';
import { callCli } from '../support/cli.ts';
import { type ServiceProcess, startServiceProcess } from '../support/service.ts';

describe('tokens', () => {
  let service: ServiceProcess;

  before(async () => {
    service = await startServiceProcess();
  });
  after(() => service[Symbol.asyncDispose]());

  function slipway(token: string, ...argv: readonly string[]) {
    return callCli(argv, { env: { SLIPWAY_URL: service.url, SLIPWAY_TOKEN: token } });
  }

  /** Makes a token as the operator does. */
  async function create(name: string, ...options: readonly string[]) {
    const result = await slipway(service.token, 'token', 'create', name, ...options);
    assert.equal(result.exitCode, 0, result.stderr);
    const secret = String(result.stdout).trim();
    const id = /token_\S+/.exec(result.stderr)?.[0] ?? '';
    return { id, secret, client: createClient({ url: service.url, token: secret }) };
  }

  async function print(client: Client, text: string): Promise<string> {
    const source = `print(${JSON.stringify(text)})\nopen("out.txt", "w").write("of ${text}")`;
    const { id } = await client.submitRun({ script: { source } });
    assert.equal((await client.waitRun(id)).output?.stdout, `${text}\n`);
    return id;
  }

  it('give a caller its own runs and nothing of those of others', async () => {
    const [ann, bob] = [await create('ann'), await create('bob')];
    const [hers, his] = [await print(ann.client, 'ann'), await print(bob.client, 'bob')];
    const idsOf = async (client: Client) => (await client.listRuns()).runs.map(({ id }) => id);
    assert.deepEqual(await idsOf(ann.client), [hers]);
    assert.deepEqual(await idsOf(bob.client), [his]);
    assert.deepEqual(await idsOf(service.client), [his, hers]);
    const foreign: readonly (() => Promise<unknown>)[] = [
      () => ann.client.getRun(his),
      () => ann.client.cancelRun(his),
      () => ann.client.listFiles(his),
      () => Array.fromAsync(ann.client.readFile(his, 'out.txt')),
      () => Array.fromAsync(ann.client.readLog(his)),
      () => Array.fromAsync(ann.client.followRun(his)),
    ];
    for (const look of foreign) await assertFails(look(), 'run-not-found');
    assert.equal((await service.client.getRun(hers)).output?.stdout, 'ann\n');
    const seen = await slipway(ann.secret, 'runs', 'logs', '-f', his);
    assert.equal(seen.exitCode, 2);
    assert.match(seen.stderr, /There is no run .* that you may see/);
  });

  it('of one name are of one caller, over a restart too', async () => {
    const [first, second] = [await create('cat'), await create('cat')];
    const id = await print(first.client, 'cat');
    await service.restart();
    assert.equal((await second.client.getRun(id)).id, id);
  });

  it('open nothing once they are revoked, at once and for good', async () => {
    const [dan, eve] = [await create('dan'), await create('eve')];
    const id = await print(dan.client, 'dan');
    const revoked = await slipway(service.token, 'token', 'revoke', dan.id);
    assert.match(String(revoked.stdout), /of dan is revoked/);
    await assertFails(dan.client.getRun(id), 'token-invalid');
    await service.kill('control-plane');
    await service.answers();
    await assertFails(dan.client.getRun(id), 'token-invalid');
    assert.deepEqual((await eve.client.listRuns()).runs, []);
    assert.equal((await service.client.getRun(id)).state, 'succeeded', 'its runs stay');
    assert.match(String((await slipway(service.token, 'token', 'list')).stdout), /dan +caller +\S+Z +\S+Z$/m);
  });

  it('are made by operators only, who may make more of them', async () => {
    const fay = await create('fay');
    for (const argv of [
      ['token', 'create', 'x'],
      ['token', 'list'],
      ['token', 'revoke', fay.id],
    ]) {
      const refused = await slipway(fay.secret, ...argv);
      assert.equal(refused.exitCode, 2, refused.stderr);
      assert.match(refused.stderr, /for operators/);
    }
    const second = await create('ops', '--role', 'operator');
    assert.equal((await second.client.createToken({ name: 'gus' })).role, 'caller');
    await assertFails(second.client.createToken({ name: 'ops' }), 'principal-has-other-role');
  });
});
