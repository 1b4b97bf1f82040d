/**
 * A node:test reporter for run-file.cjs: one JSON object per line, `{event, name, …}`, where event is `start`,
 * `passed`, `failed`, `skipped`, or `ended` (a suite, which counts only when it fails by itself or is skipped
 * whole). Starts come as tests begin, outcomes in the order of the file.
 */
import { inspect } from 'node:util';

const maxDetail = 6000;

export default async function* report(source) {
  const begun = createPath();
  const reported = createPath();
  for await (const { type, data } of source) {
    if (type === 'test:dequeue') yield line({ event: 'start', name: begun(data) });
    if (type === 'test:start') reported(data);
    if (type === 'test:pass' || type === 'test:fail')
      yield line({ ...outcomeOf(type, data), name: reported(data) });
  }
}

/** Keeps the names of the enclosing suites, so that each test has a full name. */
function createPath() {
  const names = [];
  return ({ name, nesting }) => {
    names.splice(nesting, names.length, name);
    return names.join(' › ');
  };
}

function outcomeOf(type, data) {
  if (data.skip !== undefined) return { event: 'skipped', reason: reasonOf(data.skip, 'no reason given') };
  if (data.todo !== undefined) return { event: 'skipped', reason: `to do: ${reasonOf(data.todo, '')}` };
  const error = data.details.error;
  if (type === 'test:fail' && error?.failureType === 'subtestsFailed') return { event: 'ended' };
  if (type === 'test:fail')
    return { event: 'failed', detail: describe(error?.cause ?? error).slice(0, maxDetail) };
  return { event: data.details.type === 'suite' ? 'ended' : 'passed' };
}

/** What failed first, then what failed while it was cleaned up after: inspect shows neither of the two. */
function describe(error) {
  if (error?.name !== 'SuppressedError') return inspect(error);
  return `${describe(error.suppressed)}\nand while cleaning up: ${describe(error.error)}`;
}

function reasonOf(value, otherwise) {
  return typeof value === 'string' ? value : otherwise;
}

function line(value) {
  return `${JSON.stringify(value)}\n`;
}
