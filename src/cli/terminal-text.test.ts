import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { escapeText, TerminalFilter } from './terminal-text.ts';

function filtered(bytes: Buffer, pieceBytes: number): string {
  const filter = new TerminalFilter();
  let shown = '';
  for (let at = 0; at < bytes.length; at += pieceBytes)
    shown += filter.push(bytes.subarray(at, at + pieceBytes));
  return shown + filter.end();
}

describe('output of programs on a terminal', () => {
  const cases: readonly (readonly [string, Buffer, string])[] = [
    ['text, tabs, line ends, progress', Buffer.from('a\tb\r\n50%\r100%\n'), 'a\tb\r\n50%\r100%\n'],
    [
      'colours',
      Buffer.from('\x1b[1;31mred\x1b[0m \x1b[38:5:1mx\x1b[m'),
      '\x1b[1;31mred\x1b[0m \x1b[38:5:1mx\x1b[m',
    ],
    ['a title', Buffer.from('\x1b]0;evil\x07x'), '\\x1b]0;evil\\x07x'],
    ['cursor and screen', Buffer.from('\x1b[2J\x1b[1A\x1bc'), '\\x1b[2J\\x1b[1A\\x1bc'],
    ['a question that the terminal would answer', Buffer.from('\x1b[6n\x05'), '\\x1b[6n\\x05'],
    ['C1 controls in UTF-8', Buffer.from('\u009b2J'), '\\x9b2J'],
    ['backspace and delete', Buffer.from('a\b\x7f'), 'a\\x08\\x7f'],
    ['invalid UTF-8', Buffer.from([0x61, 0xff, 0x62]), 'a\ufffdb'],
    ['letters of several bytes', Buffer.from('äöü 🐋'), 'äöü 🐋'],
    ['an unfinished sequence at the end', Buffer.from('x\x1b[3'), 'x\\x1b[3'],
    ['an overlong colour', Buffer.from(`\x1b[${'1;'.repeat(50)}m`), `\\x1b[${'1;'.repeat(50)}m`],
  ];
  for (const [name, bytes, shown] of cases) {
    test(`${name}, whole and in pieces of any size`, () => {
      for (const pieceBytes of [1, 2, 3, 1000]) assert.equal(filtered(bytes, pieceBytes), shown);
    });
  }
});

test('names are shown without anything that could fool a terminal or a reader', () => {
  assert.equal(
    escapeText('a\x1b[2J\n\u202egpj.exe\u2028\u0085'),
    'a\\x1b[2J\\x0a\\u{202e}gpj.exe\\u{2028}\\x85',
  );
  assert.equal(escapeText('größe 🐋.csv'), 'größe 🐋.csv');
});
