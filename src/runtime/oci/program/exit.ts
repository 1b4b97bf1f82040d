/**
 * What the end of the runtime's process says about the end of the program. OCI runtimes in the foreground end
 * with the program's own code, or 128 + n when a signal killed it; the same codes are used for their own
 * failures, so whether the program ever started decides how they are read.
 */
import { type SignalName, signalName } from '../../../model/usage.ts';

export type ProgramEnd =
  | { readonly kind: 'exited'; readonly code: number }
  | { readonly kind: 'signaled'; readonly signal: SignalName };

/** The end of a program that did start. A program that exits with 137 by itself cannot be told from a kill. */
export function programEnd(code: number): ProgramEnd {
  const signal = code > 128 ? signalName(code - 128) : undefined;
  return signal === undefined ? { kind: 'exited', code } : { kind: 'signaled', signal };
}

export type StartFailure =
  | { readonly kind: 'not-found'; readonly message: string }
  | { readonly kind: 'not-executable'; readonly message: string }
  | { readonly kind: 'out-of-memory'; readonly message: string }
  | { readonly kind: 'platform'; readonly message: string };

const notFound =
  /executable file .*not found|exec.*: no such file or directory|stat .*: no such file or directory/i;
const notExecutable =
  /exec.*: (permission denied|operation not permitted|exec format error|argument list too long|is a directory|text file busy|too many levels of symbolic links|not a directory)/i;
const outOfMemory = /OOM-killed|cannot allocate memory/i;

/**
 * Why a program did not start, from the last error in the runtime's log (runc's and crun's words).
 *
 * @param logText the runtime's log: a JSON object per line with `level` and `msg`
 * @param complaint what the runtime printed; it counts where the log has no error
 */
export function startFailure(logText: string, program: string, complaint = ''): StartFailure {
  const message = lastError(logText);
  if (message === undefined) return { kind: 'platform', message: complaint || 'the runtime gave no reason' };
  const shown = JSON.stringify(program.slice(0, 200));
  if (!mentionsProgram(message)) return { kind: 'platform', message };
  if (notFound.test(message)) return { kind: 'not-found', message: `the image has no program ${shown}` };
  if (notExecutable.test(message)) {
    const reason = notExecutable.exec(message)?.[1] ?? '';
    return { kind: 'not-executable', message: `the program ${shown} cannot be executed: ${reason}` };
  }
  if (outOfMemory.test(message)) return { kind: 'out-of-memory', message };
  return { kind: 'platform', message };
}

/** Mount failures say "no such file" too; those are the platform's. */
function mentionsProgram(message: string): boolean {
  return !/mount|rootfs|cgroup/i.test(message) || outOfMemory.test(message);
}

/** The last error of the runtime's log; lines that are not its JSON are left out. */
export function lastError(logText: string): string | undefined {
  for (const line of logText.trimEnd().split('\n').reverse()) {
    const message = errorMessage(line);
    if (message !== undefined) return message.slice(0, 1000);
  }
  return undefined;
}

function errorMessage(line: string): string | undefined {
  try {
    const entry: unknown = JSON.parse(line);
    if (typeof entry !== 'object' || entry === null) return undefined;
    const { level, msg }: Record<string, unknown> = { ...entry };
    return (level === 'error' || level === 'fatal') && typeof msg === 'string' ? msg : undefined;
  } catch {
    return undefined;
  }
}
