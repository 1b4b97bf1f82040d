'use strict';
/** What the person reads: a line per file while it runs, and the summary at the end. */

const shownOutputLines = 40;

function say(text) {
  process.stdout.write(`${text}\n`);
}

/** One line per file; what failed is shown in full at once, with the end of the file's own output. */
function showFile(result) {
  const count = (event) => result.tests.filter((test) => test.event === event).length;
  const failed = count('failed');
  const parts = [`${count('passed')} passed`];
  if (failed > 0) parts.push(`${failed} failed`);
  if (count('skipped') > 0) parts.push(`${count('skipped')} skipped`);
  say(`${failed > 0 ? '✗' : '✓'} ${result.file}  ${parts.join(', ')}  ${seconds(result.durationMs)}`);
  if (failed === 0) return;
  for (const test of result.tests)
    if (test.event === 'failed') say(indent(`✗ ${test.name}\n${indent(test.detail)}`));
  const output = result.output.trim().split('\n').slice(-shownOutputLines).join('\n');
  if (output) say(indent(`its output ends with:\n${indent(output)}`));
}

/**
 * The summary. Its last line is `N passed, N failed, N skipped`, alone.
 *
 * @param {{file: string, tests: object[]}[]} results
 * @param {{ci: boolean, durationMs: number}} options `ci`: a skipped test is a failure
 * @returns {boolean} whether all is well
 */
function showSummary(results, options) {
  const tests = results.flatMap((result) => result.tests.map((test) => ({ ...test, file: result.file })));
  const of = (event) => tests.filter((test) => test.event === event);
  const skipped = of('skipped');
  say(`\nIn ${seconds(options.durationMs)}:`);
  for (const test of skipped) say(`  skipped: ${test.file}: ${test.name} (${test.reason})`);
  for (const test of of('failed')) say(`  failed: ${test.file}: ${test.name}: ${test.detail.split('\n')[0]}`);
  if (options.ci && skipped.length > 0) say('  With CI=true nothing may be skipped: this run has failed.');
  say(`${of('passed').length} passed, ${of('failed').length} failed, ${skipped.length} skipped`);
  return of('failed').length === 0 && !(options.ci && skipped.length > 0);
}

function seconds(ms) {
  return `${(ms / 1000).toFixed(1)} s`;
}

function indent(text) {
  return text.replace(/^/gm, '  ');
}

module.exports = { say, showFile, showSummary };
