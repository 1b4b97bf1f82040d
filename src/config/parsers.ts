/** Parsers of setting values. Each throws an Error that says what is wrong with the text. */
import path from 'node:path';
import { isLoopback } from '../base/loopback.ts';
import type { ControlName } from '../model/control.ts';
import { controlNames } from '../model/control.ts';
import type { EgressRule } from '../model/egress.ts';
import { parseRule } from '../model/egress.ts';

/** Where the HTTP server listens: loopback, or a Unix socket that file permissions guard. */
export type ListenAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

/** Linux refuses longer paths of sockets (sun_path is 108 bytes with its NUL). */
const maxSocketPathBytes = 107;

export function parseAbsolutePath(text: string): string {
  if (!path.isAbsolute(text)) throw new Error('the path is not absolute');
  if (text.includes('\0')) throw new Error('the path contains a NUL');
  return path.normalize(text);
}

/** A parser of whole numbers from `least` to `most`. */
export function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= least && value <= most) return value;
    throw new Error(`it is not a whole number from ${least} to ${most}`);
  };
}

/** A parser of one of these words. */
export function oneOf<const Word extends string>(words: readonly Word[]): (text: string) => Word {
  return (text) => {
    const word = words.find((candidate) => candidate === text);
    if (word !== undefined) return word;
    throw new Error(`"${text}" is none of ${words.join(', ')}`);
  };
}

export function parseControlNames(text: string): readonly ControlName[] {
  const parseName = oneOf(controlNames);
  const names = text.split(',').map((name) => name.trim());
  return [...new Set(names.filter((name) => name !== '').map(parseName))];
}

/** `127.0.0.1:7070`, `[::1]:7070`, `localhost:7070` or the absolute path of a Unix socket. */
export function parseListen(text: string): ListenAddress {
  if (text.startsWith('/')) return parseSocketPath(text);
  const match = /^(?:\[([0-9a-f:.]+)\]|([^:[\]]+)):(\d{1,5})$/i.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port > 65_535) throw new Error('it is neither HOST:PORT nor an absolute path');
  if (isLoopback(host)) return { kind: 'tcp', host, port };
  throw new Error(
    `${host} is not a loopback address; other machines may not connect yet, because tokens would cross the network in clear text until TLS or a declared trusted proxy is supported`,
  );
}

function parseSocketPath(text: string): ListenAddress {
  const normal = parseAbsolutePath(text);
  if (Buffer.byteLength(normal) <= maxSocketPathBytes) return { kind: 'unix', path: normal };
  throw new Error(`the path of a socket may have at most ${maxSocketPathBytes} bytes`);
}

/** A URL of a Slipway server: http, https, or `unix:` and the path of its socket. */
export function parseServerUrl(text: string): string {
  if (text.startsWith('unix:/')) return text;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) throw new Error('it is not an http(s) URL');
  if (url.username !== '' || url.password !== '') throw new Error('a URL must not contain a password');
  return url.href.replace(/\/$/, '');
}

/** The program of an OCI runtime: a name to be found on PATH, or an absolute path. */
export function parseProgram(text: string): string {
  if (/^[A-Za-z0-9._-]+$/.test(text)) return text;
  return parseAbsolutePath(text);
}

/** Prefixes of image names, each with its host: `registry.example.com`, `docker.io/library`. */
export function parseRegistries(text: string): readonly string[] {
  const prefixes = text.split(',').map((prefix) => prefix.trim());
  return [...new Set(prefixes.filter((prefix) => prefix !== '').map(parseRegistryPrefix))];
}

function parseRegistryPrefix(prefix: string): string {
  const [host = '', ...folders] = prefix.split('/');
  const isHost =
    /^[a-z0-9][a-z0-9.-]*(:\d{1,5})?$/i.test(host) && (/[.:]/.test(host) || host === 'localhost');
  if (isHost && folders.every((folder) => /^[a-z0-9][a-z0-9._-]*$/.test(folder))) return prefix;
  throw new Error(`"${prefix}" is not a registry, with or without folders and without https:// or a tag`);
}

/** `example.org:443, *.example.org:443, tables.internal:443=10.1.2.0/24`. */
export function parseEgressRules(text: string): readonly EgressRule[] {
  const rules = text.split(',').map((rule) => rule.trim());
  return rules.filter((rule) => rule !== '').map(parseRule);
}
