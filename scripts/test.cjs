'use strict';
/**
 * `npm test`: the whole truth, its own set-up included. Checks format, lint and types, then runs every test
 * file as a process group of its own, and compares how many files and tests ran with tests/expected.json.
 *
 *   npm test                          everything
 *   npm test -- src/base tests/e2e    only files whose path contains one of these
 *   npm test -- --update-expected     everything, and write the numbers down
 *   npm run soak                      with the long runs (SOAK=1)
 *
 * With CI=true a skipped test is a failure. Tests find the staged program in STAGED_SLIPWAY.
 */
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { checkout, fail, setup } = require('./setup.cjs');
const { node24 } = require('./setup/node.cjs');
const { run } = require('./setup/shell.cjs');
const { planTests } = require('./test/plan.cjs');
const { killRunning, runFile } = require('./test/run-file.cjs');
const { say, showFile, showSummary } = require('./test/summary.cjs');

const expectedFile = path.join(checkout, 'tests', 'expected.json');
const checks = [
  ['biome check', ['biome', 'check', '--error-on-warnings', '.']],
  ['tsc', ['tsc', '--noEmit']],
];

async function main() {
  const started = Date.now();
  const options = parseArguments(process.argv.slice(2));
  const { staged } = await setup();
  const workDirectory = fs.mkdtempSync(path.join(os.tmpdir(), 'slipway-test-'));
  process.on('exit', () => fs.rmSync(workDirectory, { recursive: true, force: true }));
  const results = options.filters.length > 0 ? [] : await runChecks();
  results.push(...(await runGroups(options, { workDirectory, staged })));
  if (options.filters.length === 0 && !options.soak) compare(results, options);
  const ok = showSummary(results, { ci: process.env.CI === 'true', durationMs: Date.now() - started });
  process.exit(ok ? 0 : 1);
}

function parseArguments(args) {
  const flags = args.filter((arg) => arg.startsWith('--'));
  const unknown = flags.find((flag) => !['--soak', '--update-expected'].includes(flag));
  if (unknown) throw new Error(`There is no option ${unknown}; there are --soak and --update-expected.`);
  const filters = args.filter((arg) => !arg.startsWith('--'));
  return { filters, soak: flags.includes('--soak'), update: flags.includes('--update-expected') };
}

async function runChecks() {
  const results = [];
  for (const [name, [command, ...args]] of checks) results.push(await runCheck(name, command, args));
  return results;
}

async function runCheck(name, command, args) {
  const started = Date.now();
  const result = await run([path.join(checkout, 'node_modules', '.bin', command), ...args], {
    cwd: checkout,
  });
  const test = result.ok
    ? { event: 'passed', name }
    : { event: 'failed', name, detail: `${result.status}: see its output above` };
  const shown = { file: name, tests: [test], output: result.output, durationMs: Date.now() - started };
  showFile(shown);
  return shown;
}

async function runGroups(options, { workDirectory, staged }) {
  const groups = planTests(checkout, options);
  if (groups.every((group) => group.files.length === 0)) throw new Error('No test file has such a path.');
  const env = { STAGED_SLIPWAY: staged, ...(options.soak ? { SOAK: '1' } : {}) };
  const results = [];
  for (const group of groups) {
    const queue = [...group.files];
    const work = async () => {
      for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
        const about = { checkout, workDirectory, env, node: node24(checkout), timeoutMs: group.timeoutMs };
        results.push(await runAndShow(file, about));
      }
    };
    await Promise.all(Array.from({ length: group.parallel }, work));
  }
  return results;
}

async function runAndShow(file, options) {
  const result = await runFile(file, { ...options, onHeartbeat: (test) => say(`… ${file}: ${test}`) });
  showFile(result);
  return result;
}

/** Fewer tests than there should be is a failure: a file that was lost or ran nothing fails nobody else. */
function compare(results, options) {
  const tests = results.flatMap((result) => result.tests);
  const found = { files: results.length - checks.length, minimumTests: tests.length };
  const isGreen = tests.every((test) => test.event !== 'failed');
  if (options.update && isGreen) fs.writeFileSync(expectedFile, `${JSON.stringify(found, null, 2)}\n`);
  const expected = JSON.parse(fs.readFileSync(expectedFile, 'utf8'));
  if (found.files === expected.files && found.minimumTests >= expected.minimumTests) return;
  const detail =
    `${found.files} files with ${found.minimumTests} tests ran; tests/expected.json says ${expected.files} files ` +
    `with at least ${expected.minimumTests}. If that is right: npm test -- --update-expected`;
  results.push({
    file: 'tests/expected.json',
    tests: [{ event: 'failed', name: 'number of tests', detail }],
  });
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    killRunning();
    process.exit(128 + os.constants.signals[signal]);
  });
}

main().catch((error) => {
  killRunning();
  fail(error);
});
