/**
 * The program's standard input. It can be written before the program starts (the first write then waits), and
 * once the program has closed its end or died, the rest is thrown away without an error: a program that does
 * not read its input does nothing wrong.
 */
import { Writable } from 'node:stream';

export class ProgramInput extends Writable {
  #sink: Writable | undefined;
  #gone = false;
  #waiting: (() => void)[] = [];

  /** The runtime's own standard input, once it was launched. */
  connect(sink: Writable): void {
    this.#sink = sink;
    sink.on('error', () => this.close());
    sink.on('close', () => this.close());
    this.#release();
  }

  /** Nothing reads any more. */
  close(): void {
    this.#gone = true;
    this.#release();
  }

  override _write(chunk: Uint8Array, _encoding: string, done: () => void): void {
    this.#whenConnected(() => {
      if (this.#sink === undefined || this.#gone) return done();
      const settle = this.#once(done);
      this.#sink.write(chunk, settle);
    });
  }

  override _final(done: () => void): void {
    this.#whenConnected(() => {
      this.#sink?.end();
      done();
    });
  }

  #whenConnected(action: () => void): void {
    if (this.#sink !== undefined || this.#gone) action();
    else this.#waiting.push(action);
  }

  /** A write ends when the sink took it or when the sink is gone, whichever comes first. */
  #once(done: () => void): () => void {
    let settled = false;
    const settle = () => {
      if (settled) return;
      settled = true;
      done();
    };
    this.#waiting.push(settle);
    return () => {
      this.#waiting = this.#waiting.filter((each) => each !== settle);
      settle();
    };
  }

  #release(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const action of waiting) action();
  }
}
