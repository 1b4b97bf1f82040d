/**
 * Debian's docker-registry on a free port of the loopback interface, with a gate in front of it: a proxy of ours
 * that counts what is asked for and can break, hold or forge answers.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import type { Digest } from '../../src/base/digest.ts';
import { findFreePort } from './free-port.ts';
import { createTemporaryDirectory } from './temporary-directory.ts';
import { until } from './until.ts';

export interface TestRegistry extends AsyncDisposable {
  /** `127.0.0.1:PORT`: the gate's. */
  readonly host: string;
  /** Path of every GET that came to the gate. */
  readonly asked: string[];
  /** Deals with a request itself and says so, or lets it pass. */
  intercept: (asked: IncomingMessage, answer: ServerResponse) => boolean;
  /** Uploads past the gate; needs no credentials where the registry wants none. */
  putBlob(repository: string, content: Uint8Array | string): Promise<Descriptor>;
  putManifest(repository: string, tag: string, manifest: object): Promise<Descriptor>;
  getManifest(repository: string, tag: string): Promise<Buffer>;
}

export interface Descriptor {
  readonly digest: Digest;
  readonly size: number;
}

export interface RegistryOptions {
  /** The content of an htpasswd file, in bcrypt. */
  readonly htpasswd?: string;
}

const manifestTypes = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
];

export async function startRegistry({ htpasswd }: RegistryOptions = {}): Promise<TestRegistry> {
  const directory = createTemporaryDirectory();
  const port = await findFreePort();
  const config = join(directory.path, 'config.json');
  const passwords = join(directory.path, 'htpasswd');
  if (htpasswd !== undefined) writeFileSync(passwords, htpasswd);
  const auth = htpasswd === undefined ? {} : { auth: { htpasswd: { realm: 'test', path: passwords } } };
  const settings = {
    version: 0.1,
    log: { level: 'error', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(directory.path, 'data') } },
    http: { addr: `127.0.0.1:${port}` },
    ...auth,
  };
  writeFileSync(config, JSON.stringify(settings)); // JSON is YAML
  const child = spawn('docker-registry', ['serve', config], { stdio: 'ignore' });
  const exited = once(child, 'exit');
  await until('the registry answers', () => answers(port));
  const gate = await startGate(port);
  return Object.assign(gate, {
    putBlob: (repository: string, content: Uint8Array | string) => putBlob(port, repository, content),
    putManifest: (repository: string, tag: string, manifest: object) =>
      putManifest(port, `${repository}/manifests/${tag}`, manifest),
    async getManifest(repository: string, tag: string) {
      const headers = { accept: manifestTypes.join(', ') };
      const answer = await fetch(`http://127.0.0.1:${port}/v2/${repository}/manifests/${tag}`, { headers });
      return Buffer.from(await answer.arrayBuffer());
    },
    async [Symbol.asyncDispose]() {
      await gate.close();
      child.kill('SIGKILL');
      await exited;
      directory[Symbol.dispose]();
    },
  });
}

async function answers(port: number): Promise<boolean> {
  return fetch(`http://127.0.0.1:${port}/v2/`).then(
    () => true,
    () => false,
  );
}

async function startGate(target: number) {
  const gate = {
    host: '',
    asked: [] as string[],
    intercept: (_asked: IncomingMessage, _answer: ServerResponse) => false,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  const server = createServer((asked, answer) => {
    if (asked.method === 'GET') gate.asked.push(asked.url ?? '');
    if (!gate.intercept(asked, answer)) forward(target, asked, answer);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the gate has no port');
  gate.host = `127.0.0.1:${address.port}`;
  return gate;
}

function forward(port: number, asked: IncomingMessage, answer: ServerResponse): void {
  const { method, url: path, headers } = asked;
  const passed = request({ host: '127.0.0.1', port, method, path, headers }, (reply) => {
    answer.writeHead(reply.statusCode ?? 500, reply.headers);
    reply.pipe(answer);
  });
  passed.on('error', () => answer.destroy());
  asked.pipe(passed);
}

async function putBlob(port: number, repository: string, content: Uint8Array | string): Promise<Descriptor> {
  const body = Buffer.from(content);
  const digest: Digest = `sha256:${createHash('sha256').update(body).digest('hex')}`;
  const uploads = `http://127.0.0.1:${port}/v2/${repository}/blobs/uploads/`;
  const begun = await fetch(uploads, { method: 'POST' });
  const place = new URL(begun.headers.get('location') ?? '', uploads);
  place.searchParams.set('digest', digest);
  const headers = { 'content-type': 'application/octet-stream' };
  const done = await fetch(place, { method: 'PUT', body, headers });
  if (!done.ok) throw new Error(await done.text());
  return { digest, size: body.length };
}

async function putManifest(port: number, path: string, manifest: object): Promise<Descriptor> {
  const body = JSON.stringify(manifest);
  const type = 'mediaType' in manifest ? String(manifest.mediaType) : (manifestTypes[0] ?? '');
  const headers = { 'content-type': type };
  const answer = await fetch(`http://127.0.0.1:${port}/v2/${path}`, { method: 'PUT', body, headers });
  if (!answer.ok) throw new Error(await answer.text());
  return {
    digest: `sha256:${createHash('sha256').update(body).digest('hex')}`,
    size: Buffer.byteLength(body),
  };
}
