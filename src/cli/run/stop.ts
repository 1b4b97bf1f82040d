/** Ctrl-C: the first asks the program to end, the second ends everything at once. */
import type { CliIo } from '../io.ts';
import type { StopSignals } from './backend.ts';

export interface Stop extends StopSignals, Disposable {}

/** @param onFirst called at the first one, to say what the second would do */
export function stopOnSignals(io: Pick<CliIo, 'onStop'>, onFirst: () => void): Stop {
  const cancel = new AbortController();
  const kill = new AbortController();
  const listening = io.onStop(() => {
    if (cancel.signal.aborted) kill.abort();
    else onFirst();
    cancel.abort();
  });
  return { cancel: cancel.signal, kill: kill.signal, [Symbol.dispose]: () => listening[Symbol.dispose]() };
}
