/** The log of a process that serves: JSON lines on stderr. */
import { type Logger, pino } from 'pino';

/** Synchronous, so that the last words of a process that dies are there. */
export function createLogger(level: string): Logger {
  return pino({ level }, pino.destination({ dest: 2, sync: true }));
}
