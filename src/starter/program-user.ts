/** The unprivileged user that the control plane runs as, and whether it can reach the program. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { SlipwayError } from '../base/errors.ts';

export interface SystemUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/**
 * Looks a user up where the system does (files, LDAP, …).
 *
 * @throws SlipwayError `no-service-user`, which says what to type
 */
export async function findSystemUser(name: string): Promise<SystemUser> {
  const line = await promisify(execFile)('getent', ['passwd', name]).then(
    ({ stdout }) => stdout,
    () => '',
  );
  const [, , uid, gid] = line.trim().split(':');
  if (uid !== undefined && gid !== undefined && Number(uid) > 0)
    return { name, uid: Number(uid), gid: Number(gid) };
  throw new SlipwayError(
    'unavailable',
    'no-service-user',
    `The control plane runs as the user "${name}", which is not there. Type: useradd --system --no-create-home --shell /usr/sbin/nologin ${name}`,
  );
}

/**
 * @throws SlipwayError `program-unreadable` when the user cannot read a file of the program, for example because
 *   it lies below a home directory
 */
export async function assertReadableBy(user: SystemUser, file: string): Promise<void> {
  const asUser = [
    '--reuid',
    String(user.uid),
    '--regid',
    String(user.gid),
    '--clear-groups',
    'test',
    '-r',
    file,
  ];
  await promisify(execFile)('setpriv', asUser).catch((cause: unknown) => {
    throw new SlipwayError(
      'unavailable',
      'program-unreadable',
      `The user "${user.name}" cannot read ${file}. Start Slipway with bin/slipway.cjs, which stages the program first.`,
      { cause },
    );
  });
}
