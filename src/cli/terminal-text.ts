/**
 * Text of others on a terminal. A terminal obeys what it shows: escape sequences can rewrite what was printed,
 * set titles, answer as if typed. Names are shown escaped always; output of programs on a terminal keeps its
 * colours, line ends, tabs and carriage returns, and the rest is made visible.
 */

/** One line of text without anything a terminal or a reader would be fooled by. */
export function escapeText(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, escapeCharacter);
}

function escapeCharacter(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  return code < 256 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`;
}

/** Colours and weights: `ESC [ numbers m`. */
const colour = /^\u001b\[[0-9;:]{0,40}m/;
/** What may yet become one, at the end of a chunk. */
const unfinishedColour = /^\u001b(\[[0-9;:]{0,40})?$/;

/** Filters a stream of bytes, chunk by chunk; a character or a sequence may lie across chunks. */
export class TerminalFilter {
  readonly #decoder = new TextDecoder();
  #held = '';

  /** What may be shown of the stream so far. */
  push(bytes: Uint8Array): string {
    return this.#filter(this.#held + this.#decoder.decode(bytes, { stream: true }), false);
  }

  /** What was held back. */
  end(): string {
    return this.#filter(this.#held + this.#decoder.decode(), true);
  }

  #filter(text: string, isEnd: boolean): string {
    let shown = '';
    let rest = text;
    this.#held = '';
    for (let at = rest.search(hostile); at >= 0; at = rest.search(hostile)) {
      shown += rest.slice(0, at);
      rest = rest.slice(at);
      if (!isEnd && unfinishedColour.test(rest)) {
        this.#held = rest;
        return shown;
      }
      const length = colour.exec(rest)?.[0].length ?? 0;
      shown += length > 0 ? rest.slice(0, length) : escapeCharacter(rest.charAt(0));
      rest = rest.slice(Math.max(1, length));
    }
    return shown + rest;
  }
}

/** Control characters but tab, line feed and carriage return; C1 too, which some terminals obey. */
const hostile = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/;
