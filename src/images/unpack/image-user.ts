/**
 * Resolves an image's USER to numbers, from the image's own /etc/passwd and /etc/group, read as hostile
 * text. Root, and group 0, become the unprivileged default: a sandbox never runs as either.
 * Source: the OCI image specification, config.md, `User`.
 */

import { join } from 'node:path';
import { SlipwayError } from '../../base/errors.ts';
import { defaultImageUser, type ImageUser } from '../../model/image.ts';
import { lstatOf, readInRoot, resolveParts } from './rooted-path.ts';

const maxFileBytes = 1024 * 1024;
const maxId = 65_535;

interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

interface Group {
  readonly name: string;
  readonly gid: number;
  readonly members: readonly string[];
}

/**
 * @param root the unpacked tree
 * @param user `name`, `uid`, `name:group`, `uid:gid` or nothing (root)
 * @throws SlipwayError `image-user-unknown`
 */
export function resolveUser(root: string, user: string): ImageUser {
  const [who = '', group] = user.split(':', 2);
  const accounts = readAccounts(root);
  const account = accounts.find(({ name }) => name === who) ?? accounts.find(({ uid }) => uid === idOf(who));
  const uid = who === '' ? 0 : (account?.uid ?? idOf(who));
  if (uid === undefined) throw unknown('user', who);
  if (uid === 0) return { ...defaultImageUser, home: defaultImageUser.home };
  const groups = readGroups(root);
  const gid = group === undefined ? (account?.gid ?? 0) : gidOf(group, groups);
  const others = groups.filter(({ members }) => account !== undefined && members.includes(account.name));
  const extra = [...new Set(others.map((other) => other.gid))].filter((id) => id !== 0 && id !== gid);
  return {
    uid,
    gid: gid === 0 ? defaultImageUser.gid : gid,
    ...(extra.length > 0 && group === undefined ? { groups: extra.slice(0, 32) } : {}),
    ...(account ? { name: account.name } : {}),
    home: usableHome(root, account?.home ?? '') ?? defaultImageUser.home,
  };
}

function gidOf(group: string, groups: readonly Group[]): number {
  const gid = groups.find(({ name }) => name === group)?.gid ?? idOf(group);
  if (gid === undefined) throw unknown('group', group);
  return gid;
}

/** A home can be mounted over when it is a plain path to a directory, or to nothing yet. */
function usableHome(root: string, home: string): string | undefined {
  const parts = home.split('/').slice(1);
  const plain = home.startsWith('/') && home.length < 256 && parts.length > 0;
  if (!plain || !parts.every((part) => /^[\w][\w.-]*$/.test(part))) return undefined;
  if (/^\/(proc|sys|dev|run|tmp|etc|usr|bin|sbin|lib\w*|data|work|code|nonexistent)(\/|$)/.test(home)) {
    return undefined;
  }
  if (resolveParts(root, parts).join('/') !== parts.join('/')) return undefined;
  const paths = parts.map((_, i) => join(root, ...parts.slice(0, i + 1)));
  return paths.every((path) => lstatOf(path)?.isDirectory() ?? true) ? home : undefined;
}

function readAccounts(root: string): Account[] {
  return linesOf(root, 'etc/passwd').flatMap(([name = '', , uid = '', gid = '', , home = '']) => {
    const numbers = { uid: idOf(uid), gid: idOf(gid) };
    if (name === '' || numbers.uid === undefined || numbers.gid === undefined) return [];
    return [{ name, uid: numbers.uid, gid: numbers.gid, home }];
  });
}

function readGroups(root: string): Group[] {
  return linesOf(root, 'etc/group').flatMap(([name = '', , gid = '', members = '']) => {
    const number = idOf(gid);
    return name === '' || number === undefined ? [] : [{ name, gid: number, members: members.split(',') }];
  });
}

function linesOf(root: string, path: string): string[][] {
  const text = readInRoot(root, path, maxFileBytes)?.toString('utf8') ?? '';
  return text.split('\n').map((line) => line.split(':'));
}

/** Ids that fit the range of a sandbox. */
function idOf(text: string): number | undefined {
  const id = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  return id <= maxId ? id : undefined;
}

function unknown(what: 'user' | 'group', name: string): SlipwayError {
  return new SlipwayError(
    'invalid-input',
    'image-user-unknown',
    `The image's USER names the ${what} ${JSON.stringify(name.slice(0, 100))}, which is neither in its ` +
      `/etc/${what === 'user' ? 'passwd' : 'group'} nor a number up to ${maxId}. Correct USER and build it again.`,
  );
}
