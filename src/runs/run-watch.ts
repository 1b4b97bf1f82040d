/** Tells those who wait for a run, in this process, that something about it has changed. */
import type { RunId } from '../model/run.ts';
import { Wake } from './wake.ts';

export class RunWatch {
  readonly #watchers = new Map<RunId, Set<Wake>>();

  /** Something about this run has changed: its state, or its output has grown. */
  changed(id: RunId): void {
    for (const wake of this.#watchers.get(id) ?? []) wake.signal();
  }

  /** Changes from now on; made before the run is read, none is missed. */
  watch(id: RunId): Wake & Disposable {
    const watcher = Object.assign(new Wake(), { [Symbol.dispose]: () => this.#remove(id, watcher) });
    const watchers = this.#watchers.get(id) ?? new Set();
    this.#watchers.set(id, watchers.add(watcher));
    return watcher;
  }

  #remove(id: RunId, watcher: Wake): void {
    const watchers = this.#watchers.get(id);
    watchers?.delete(watcher);
    if (watchers?.size === 0) this.#watchers.delete(id);
  }
}
