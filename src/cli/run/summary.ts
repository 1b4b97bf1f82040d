/** How a run ended and what it used, in words. */
import { formatBytes, formatDuration } from '../../base/units.ts';
import { formatTarget } from '../../model/egress.ts';
import type { Outcome } from '../../model/run.ts';
import type { Usage } from '../../model/usage.ts';
import { escapeText } from '../terminal-text.ts';

/** `succeeded in 1.2 s, 0.8 s CPU, 85 MB` */
export function describeRun(outcome: Outcome, usage: Usage | null): string {
  const parts = [describeOutcome(outcome)];
  if (usage === null) return parts.join('');
  parts[0] += ` in ${formatDuration(usage.wallMs)}`;
  if (usage.cpuMs !== null) parts.push(`${formatDuration(usage.cpuMs)} CPU`);
  if (usage.memoryPeakBytes !== null) parts.push(formatBytes(usage.memoryPeakBytes));
  if (usage.egress !== undefined)
    parts.push(`${formatBytes(usage.egress.sentBytes + usage.egress.receivedBytes)} of egress`);
  return parts.join(', ');
}

/** What happened, without figures of use. */
export function describeOutcome(outcome: Outcome): string {
  switch (outcome.kind) {
    case 'succeeded':
      return 'succeeded';
    case 'failed':
      return `failed with exit status ${outcome.exitCode}`;
    case 'signaled':
      return `ended by ${outcome.signal}`;
    case 'timed-out':
      return `stopped at its time limit of ${formatDuration(outcome.limitMs)}`;
    case 'oom-killed':
      return `killed at its memory limit of ${formatBytes(outcome.limitBytes)}`;
    case 'output-limit':
      return `stopped at its output limit of ${formatBytes(outcome.limitBytes)}`;
    case 'cancelled':
      return `cancelled (${escapeText(outcome.reason)})`;
    case 'lost':
      return `lost (${escapeText(outcome.reason)})`;
    case 'platform-error':
      return `not run: ${escapeText(outcome.message)} (${escapeText(outcome.code)})`;
    default:
      return outcome satisfies never;
  }
}

/** What the egress proxy did not do, one line for each host. */
export function describeEgress(usage: Usage | null): string[] {
  const hosts = usage?.egress?.hosts.filter(({ kind }) => kind !== 'allowed') ?? [];
  return hosts.map(({ host, port, kind, reason, count }) => {
    const times = count === 1 ? '' : ` (${count} times)`;
    return `egress ${kind}: ${escapeText(port === 0 ? host : formatTarget({ host, port }))}: ${reason}${times}`;
  });
}

const shownNames = 5;

/** `2 files in results: a.csv, chart.png` */
export function describeFiles(files: readonly { readonly path: string }[], folder: string): string {
  const count = files.length === 1 ? '1 file' : `${files.length} files`;
  if (files.length === 0) return `no files for ${folder}`;
  const names = files.slice(0, shownNames).map(({ path }) => escapeText(path));
  const more = files.length > shownNames ? `, and ${files.length - shownNames} more` : '';
  return `${count} in ${folder}: ${names.join(', ')}${more}`;
}
