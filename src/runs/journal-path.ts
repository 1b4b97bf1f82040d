/** Where the output of a running program is written: one file for each claim. */
import { join } from 'node:path';
import { isId } from '../base/ids.ts';
import type { FencedWrite } from '../store/store.ts';

export function journalPath(journalDir: string, { id, token }: FencedWrite): string {
  return join(journalDir, `${id}.${token}.log`);
}

/** The claim of a journal's file name, if it is one. */
export function parseJournalName(name: string): FencedWrite | undefined {
  const [id, token, end, more] = name.split('.');
  if (!isId('run', id) || end !== 'log' || more !== undefined) return undefined;
  return { id, token: Number(token) };
}
