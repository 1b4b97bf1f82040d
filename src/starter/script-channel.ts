/**
 * The starter's side of the runner protocol (docs/runner-protocol.md) for one script: waits for *ready*, sends
 * the request and the code, listens to what the runner reports. All of it is hostile: it is parsed, capped, and
 * decides nothing that the starter measured itself.
 */
import type { Duplex } from 'node:stream';
import { messageOf, SlipwayError } from '../base/errors.ts';
import { encodeBytesFrames, encodeJsonFrame, type Frame, readFrames } from '../base/frames.ts';
import type { ScriptProgram } from '../model/program.ts';
import { parseRunnerMessage, type RunnerMessage, toScriptRequest } from '../model/runner-protocol.ts';
import type { SignalName } from '../model/usage.ts';
import type { InputFile } from '../runtime/driver.ts';

/** What the runner said happened. */
export interface RunnerReport {
  /** How the script ended; absent if the runner did not come to say it. */
  readonly exit?:
    | { readonly kind: 'code'; readonly code: number }
    | { readonly kind: 'signal'; readonly signal: SignalName };
  /** Why the script was not started; absent if it was. */
  readonly failure?: string;
}

/** A runner's control messages are small; nothing it sends needs more. */
const maxMessageBytes = 64 * 1024;

/** A conversation with one runner: `ready`, then `run`, each once. */
export class RunnerChannel {
  readonly #channel: Duplex;
  readonly #messages: AsyncGenerator<RunnerMessage>;

  constructor(channel: Duplex) {
    channel.on('error', () => undefined); // a runner that vanishes ends the messages
    this.#channel = channel;
    this.#messages = runnerMessages(channel);
  }

  /** Waits for *ready*. @returns why it does not come, or undefined when it came */
  async ready(): Promise<string | undefined> {
    try {
      await expectReady(this.#messages);
      return undefined;
    } catch (error) {
      return messageOf(error);
    }
  }

  /**
   * Sends the script and listens to the end of the channel.
   *
   * @param code the files of `program.files`, in that order
   * @throws only when `code` fails: what the runner does wrong is in the report
   */
  async run(program: ScriptProgram, code: AsyncIterable<InputFile>): Promise<RunnerReport> {
    await sendRequest(this.#channel, program, code);
    return await listen(this.#messages);
  }
}

async function* runnerMessages(channel: Duplex): AsyncGenerator<RunnerMessage> {
  for await (const frame of readFrames(channel, maxMessageBytes)) yield parseRunnerMessage(messageIn(frame));
}

function messageIn(frame: Frame): Record<string, unknown> {
  if (frame.kind === 'json') return frame.value;
  throw new SlipwayError(
    'invalid-input',
    'bad-runner-message',
    'The runner sent bytes; it may send messages only.',
  );
}

async function expectReady(messages: AsyncGenerator<RunnerMessage>): Promise<void> {
  const first = await messages.next();
  if (first.done)
    throw new SlipwayError('internal', 'runner-not-ready', 'it ended before it said that it is ready');
  if (first.value.type !== 'ready') {
    throw new SlipwayError('internal', 'runner-not-ready', `it said "${first.value.type}" before "ready"`);
  }
}

/** The runner checks size and digest of every file that follows the request. */
async function sendRequest(
  channel: Duplex,
  program: ScriptProgram,
  code: AsyncIterable<InputFile>,
): Promise<void> {
  await write(channel, encodeJsonFrame(toScriptRequest(program)));
  for await (const file of code) {
    for await (const piece of file.content) {
      for (const frame of encodeBytesFrames(piece)) await write(channel, frame);
    }
  }
}

/** Waits for room; a channel that is gone swallows the rest, as the report then tells. */
async function write(channel: Duplex, frame: Buffer): Promise<void> {
  if (channel.destroyed || channel.write(frame)) return;
  await new Promise<void>((resolve) => {
    channel.once('drain', resolve);
    channel.once('close', resolve);
  });
}

async function listen(messages: AsyncGenerator<RunnerMessage>): Promise<RunnerReport> {
  let report: RunnerReport = { failure: 'it ended before it started the script' };
  try {
    for await (const message of messages) report = heard(report, message);
  } catch {
    // Nonsense after the start changes nothing: the program is judged from outside.
  }
  return report;
}

function heard(report: RunnerReport, message: RunnerMessage): RunnerReport {
  switch (message.type) {
    case 'started':
      return {};
    case 'refused':
      return { failure: message.reason };
    case 'exit':
      return report.failure === undefined ? { exit: toExit(message) } : report;
    default:
      return report;
  }
}

function toExit(message: Extract<RunnerMessage, { type: 'exit' }>): NonNullable<RunnerReport['exit']> {
  return 'code' in message
    ? { kind: 'code', code: message.code }
    : { kind: 'signal', signal: message.signal };
}
