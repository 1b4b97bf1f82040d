/**
 * Egress of a real service: a script in a real sandbox reaches the HTTPS service on this machine's loopback that run
 * and operator name, and nothing else.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { SubmitRequestInput } from '../../src/api/submit-request.ts';
import { isSlipwayError } from '../../src/base/errors.ts';
import { runSlipway } from '../support/run-slipway.ts';
import { type ServiceProcess, startServiceProcess } from '../support/service.ts';
import { createTemporaryDirectory } from '../support/temporary-directory.ts';

const answer = 'answer '.repeat(10_000);

interface HttpsService extends AsyncDisposable {
  readonly port: number;
  /** Of the authority that signed its certificate. */
  readonly authority: string;
  readonly seen: readonly string[];
}

/** With a certificate for `localhost`, by an authority of its own. */
async function startHttps(): Promise<HttpsService> {
  using directory = createTemporaryDirectory();
  const at = (name: string) => path.join(directory.path, name);
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'pipe' });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
  openssl('req', '-x509', ...key, '-subj', '/CN=authority', '-keyout', at('ca.key'), '-out', at('ca.pem'));
  const leaf = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
  const signed = [
    '-CA',
    at('ca.pem'),
    '-CAkey',
    at('ca.key'),
    '-keyout',
    at('key.pem'),
    '-out',
    at('cert.pem'),
  ];
  const usage = ['-addext', 'basicConstraints=critical,CA:FALSE'];
  openssl('req', '-x509', ...key, ...leaf, ...usage, ...signed);
  const read = (name: string) => readFileSync(at(name), 'utf8');
  const seen: string[] = [];
  const server = createServer({ key: read('key.pem'), cert: read('cert.pem') }, (request, response) => {
    seen.push(request.url ?? '');
    if (request.url === '/redirect') response.writeHead(302, { location: 'http://169.254.169.254/latest/' });
    response.end(answer);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port, // a TCP server's
    authority: read('ca.pem'),
    seen,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
    },
  };
}

describe('egress', () => {
  let https: HttpsService;
  let service: ServiceProcess;
  let allowed: { readonly host: string; readonly port: number };

  before(async () => {
    https = await startHttps();
    allowed = { host: 'localhost', port: https.port };
    const SLIPWAY_EGRESS = `localhost:${https.port}=127.0.0.1+::1, *.example.invalid:443`;
    service = await startServiceProcess({ settings: { SLIPWAY_EGRESS, SLIPWAY_CONCURRENCY: '2' } });
  });
  after(async () => {
    await service[Symbol.asyncDispose]();
    await https[Symbol.asyncDispose]();
  });

  async function run(source: string, more: Partial<SubmitRequestInput> = {}) {
    const { id } = await service.client.submitRun({ script: { source }, ...more });
    const run = await service.client.waitRun(id);
    return { ...run, text: run.output?.stdout ?? '' };
  }

  /** Python clients leave `localhost` to itself unless told otherwise. */
  const throughProxy = { NO_PROXY: '', no_proxy: '' };

  it('a script reaches the allowed HTTPS service, by urllib and by requests; bytes are counted', async () => {
    const source = `
import os, ssl, urllib.request, requests
url = "https://localhost:${https.port}/"
context = ssl.create_default_context(cafile="/data/ca.pem")
print(len(urllib.request.urlopen(url + "urllib", context=context).read()))
print(requests.get(url + "requests", verify="/data/ca.pem").text == ${JSON.stringify(answer.slice(0, 7))} * 10000)
print(os.environ["HTTPS_PROXY"], os.environ["http_proxy"])`;
    const finished = await run(source, {
      egress: [allowed],
      env: throughProxy,
      inputs: [{ path: 'ca.pem', text: https.authority }],
    });
    const proxy = 'http://127.0.0.1:3128';
    assert.equal(finished.text, `${answer.length}\nTrue\n${proxy} ${proxy}\n`);
    assert.deepEqual(https.seen.slice(-2), ['/urllib', '/requests']);
    assert.deepEqual(finished.egress, [allowed]);
    const usage = finished.usage?.egress;
    assert.ok(usage !== undefined && usage.receivedBytes > 2 * answer.length, JSON.stringify(usage));
    assert.ok(usage.receivedBytes < 2 * answer.length + 20_000 && usage.sentBytes > 1000);
    const [record, ...others] = usage.hosts;
    assert.deepEqual([record?.kind, record?.host, record?.count], ['allowed', 'localhost', 2]);
    assert.deepEqual([record?.address, others], ['127.0.0.1', []]);
  });

  it('nothing else is reached, and every attempt is recorded and logged', async () => {
    const { port } = new URL(service.url);
    const source = `
import socket, urllib.request, urllib.error
def ask(authority):
    s = socket.create_connection(("127.0.0.1", 3128))
    s.sendall(f"CONNECT {authority} HTTP/1.1\\r\\nHost: {authority}\\r\\n\\r\\n".encode())
    return s.makefile().readline().split(" ")[1]
for authority in ["127.0.0.1:${https.port}", "localhost:${port}", "127.0.0.1:${port}", "[::1]:${port}", "10.0.0.1:443",
                  "169.254.169.254:80", "[fd00:ec2::254]:80", "metadata.google.internal:80", "a.example.invalid:443"]:
    print(authority, ask(authority))
for url in ["http://169.254.169.254/latest/meta-data/", "https://example.org/"]:
    try: urllib.request.urlopen(url)
    except urllib.error.URLError as error: print(error)
for address in [("127.0.0.1", ${https.port}), ("127.0.0.1", ${port}), ("8.8.8.8", 53), ("169.254.169.254", 80)]:
    try: socket.create_connection(address, 2); print("reached", address)
    except OSError: pass
try: print("resolved", socket.getaddrinfo("example.org", 443))
except OSError: pass`;
    const { text, usage } = await run(source, { egress: [allowed], env: throughProxy });
    const lines = text.trim().split('\n');
    assert.deepEqual(
      lines.slice(0, 9).map((line) => line.split(' ')[1]),
      Array(9).fill('403'),
      text,
    );
    assert.match(lines[9] ?? '', /^HTTP Error 403: This run may not reach this host and port$/);
    assert.match(lines[10] ?? '', /Tunnel connection failed: 403 This run may not reach this host and port/);
    assert.equal(lines.length, 11, text);
    const hosts = usage?.egress?.hosts ?? [];
    assert.ok(hosts.every((record) => record.kind === 'refused' && record.reason === 'not-named'));
    const named = hosts.map((record) => record.host);
    for (const host of ['localhost', '169.254.169.254', 'fd00:ec2::254', 'example.org', 'a.example.invalid'])
      assert.ok(named.includes(host), named.join());
    assert.equal(usage?.egress?.sentBytes, 0);
    assert.match(service.log, /"run":"run_[^}]*"host":"169\.254\.169\.254"[^}]*"reason":"not-named"/);
  });

  it('a redirect to the metadata service is not followed anywhere', async () => {
    const source = `
import ssl, urllib.request, urllib.error
context = ssl.create_default_context(cafile="/data/ca.pem")
try: urllib.request.urlopen("https://localhost:${https.port}/redirect", context=context)
except urllib.error.HTTPError as error: print(error.code, error.url)`;
    const inputs = [{ path: 'ca.pem', text: https.authority }];
    const { text, usage } = await run(source, { egress: [allowed], env: throughProxy, inputs });
    assert.equal(text, '403 http://169.254.169.254/latest/\n');
    assert.deepEqual(
      usage?.egress?.hosts.map(({ kind, host }) => [kind, host]),
      [
        ['allowed', 'localhost'],
        ['refused', '169.254.169.254'],
      ],
    );
  });

  it('a command has the proxy from its first instruction on', async () => {
    const source =
      'import socket, os; socket.create_connection(("127.0.0.1", 3128)); print(os.environ["HTTP_PROXY"])';
    for (let i = 0; i < 3; i++) {
      const { id } = await service.client.submitRun({
        command: ['python3', '-c', source],
        egress: [allowed],
      });
      const { output, outcome } = await service.client.waitRun(id);
      assert.deepEqual([outcome?.kind, output?.stdout], ['succeeded', 'http://127.0.0.1:3128\n']);
    }
  });

  it('a run that names no host has no proxy, no variables and no record, also after runs that did', async () => {
    const source = `
import os, socket
print([name for name in os.environ if "proxy" in name.lower()])
try: socket.create_connection(("127.0.0.1", 3128)); print("reached")
except ConnectionRefusedError: print("refused")`;
    for (let i = 0; i < 4; i++) {
      const finished = await run(source);
      assert.equal(finished.text, '[]\nrefused\n');
      assert.equal(finished.usage?.egress, undefined);
      assert.deepEqual(finished.egress, []);
      const other = await run('import os; print("HTTP_PROXY" in os.environ)', { egress: [allowed] });
      assert.equal(other.text, 'True\n');
    }
  });

  it('the bytes of a run are limited', async () => {
    const source = `
import ssl, urllib.request
context = ssl.create_default_context(cafile="/data/ca.pem")
for _ in range(100):
    try: urllib.request.urlopen("https://localhost:${https.port}/", context=context).read()
    except OSError as error: print(error); break`;
    const finished = await run(source, {
      egress: [allowed],
      env: throughProxy,
      inputs: [{ path: 'ca.pem', text: https.authority }],
      limits: { egressBytes: 300_000 },
    });
    assert.ok((finished.usage?.egress?.receivedBytes ?? 0) < 1_000_000);
    assert.notEqual(finished.text, '');
  });

  it('what the operator does not allow is refused at submission, by name', async () => {
    const before = (await service.client.listRuns()).runs.length;
    for (const target of [
      { host: 'example.org', port: 443 },
      { host: 'localhost', port: 1 },
      { host: '*.invalid', port: 443 },
      { host: '127.0.0.1', port: https.port },
    ]) {
      await assert.rejects(run('print(1)', { egress: [allowed, target] }), (error) => {
        return isSlipwayError(error, 'egress-not-allowed') && error.message.includes(target.host);
      });
    }
    assert.equal((await service.client.listRuns()).runs.length, before);
  });

  it('the command line asks for hosts, here and on a server, and says what was refused', async () => {
    const program = 'import urllib.request; urllib.request.urlopen("http://b.example.invalid:80/")';
    const args = ['run', '--command', '--egress', 'a.example.invalid:443', '--', 'python3', '-c', program];
    for (const server of [{}, { SLIPWAY_URL: service.url, SLIPWAY_TOKEN: service.token }]) {
      const { status, stderr } = await runSlipway(args, { ...service.env, ...server });
      assert.equal(status, 1, stderr);
      assert.match(stderr, /^egress refused: b\.example\.invalid:80: not-named$/m);
      const other = args.map((word) => word.replace('a.example.invalid:443', 'other.example:443'));
      const refused = await runSlipway(other, { ...service.env, ...server });
      assert.equal(refused.status, 2, refused.stderr);
      assert.match(refused.stderr, /other\.example:443.*SLIPWAY_EGRESS/);
    }
  });
});
