/** The test runner must see what goes wrong: each case is a real test file, run as `npm test` runs it. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { type FileResult, runFile } from './run-file.cjs';

const header = "import { it, describe } from 'node:test';\nimport { spawn } from 'node:child_process';\n";

describe('runFile', () => {
  it('names every test that passed, failed or was skipped, with the reason', async () => {
    const result = await runText(`
      describe('outer', () => {
        it('passes', () => {});
        it('fails', () => { throw new Error('because'); });
        it('is skipped', { skip: 'needs a moon' }, () => {});
        it('is to do', { todo: 'later' }, () => {});
      });`);
    assert.deepEqual(
      result.tests.map(({ event, name, reason }) => [event, name, reason]),
      [
        ['passed', 'outer › passes', undefined],
        ['failed', 'outer › fails', undefined],
        ['skipped', 'outer › is skipped', 'needs a moon'],
        ['skipped', 'outer › is to do', 'to do: later'],
      ],
    );
    assert.match(result.tests[1]?.detail ?? '', /because/);
  });

  it('fails a file that cannot be loaded', async () => {
    const result = await runText("import './is-not-there.ts';");
    assert.deepEqual(problems(result), ['ended with 1 though no test failed', 'ran no tests']);
    assert.match(result.output, /is-not-there/);
  });

  it('fails a file without tests, and one that is not there', async () => {
    assert.deepEqual(problems(await runText('')), ['ran no tests']);
    assert.ok(problems(await runFileAt('/no/such.test.ts')).includes('ran no tests'));
  });

  it('fails a file that ends badly after its tests', async () => {
    const result = await runText(
      "it('passes', () => {}); process.on('exit', () => { process.exitCode = 7; });",
    );
    assert.deepEqual(problems(result), ['ended with 7 though no test failed']);
  });

  it('kills a file that hangs, and names the test', async () => {
    const hangs =
      "it('passes', () => {}); it('waits', () => new Promise(() => setInterval(() => {}, 1000)));";
    const result = await runText(hangs, { timeoutMs: 2000 });
    assert.deepEqual(problems(result), ['timed out after 2 s in: waits']);
  });

  it('kills and names processes left behind, in the group or in a session of their own', async () => {
    for (const detached of [false, true]) {
      using place = temporaryDirectory();
      const pidFile = join(place.directory, 'pid');
      const result = await runText(`
        import { writeFileSync } from 'node:fs';
        it('leaves a process', () => {
          const child = spawn('sleep', ['600'], { detached: ${detached}, stdio: 'ignore' });
          child.unref();
          writeFileSync(${JSON.stringify(pidFile)}, String(child.pid));
        });`);
      const pid = readFileSync(pidFile, 'utf8');
      assert.match(problems(result).join(), new RegExp(`left processes behind.*\\n *${pid} sleep 600`));
      assert.ok(!isRunning(pid), `${pid} is still there`);
    }
  });
});

describe('run_python.py', () => {
  it('names every test that passed, failed or was skipped', async () => {
    using place = temporaryDirectory();
    const tests = join(place.directory, 'python/tests');
    mkdirSync(tests, { recursive: true });
    writeFileSync(join(tests, '__init__.py'), '');
    writeFileSync(
      join(tests, 'test_sample.py'),
      [
        'import unittest',
        'class Sample(unittest.TestCase):',
        '    def test_a(self): pass',
        '    def test_b(self): self.fail("because")',
        '    @unittest.skip("needs a moon")',
        '    def test_c(self): pass',
        '    def test_d(self):',
        '        with self.subTest(n=1): self.fail("inner")',
      ].join('\n'),
    );
    const result = await runFileAt('python/tests/test_sample.py', { checkout: place.directory });
    const seen = result.tests.map(
      ({ event, name }) => `${event} ${name.replace('tests.test_sample.Sample.', '')}`,
    );
    assert.deepEqual(seen, ['passed test_a', 'failed test_b', 'skipped test_c', 'failed test_d (n=1)']);
  });
});

function problems(result: FileResult): string[] {
  return result.tests.filter((test) => test.name === '(the file itself)').map((test) => test.detail ?? '');
}

async function runText(text: string, options: { timeoutMs?: number } = {}): Promise<FileResult> {
  using place = temporaryDirectory();
  const file = join(place.directory, 'sample.test.mts');
  writeFileSync(file, header + text);
  return await runFileAt(file, options);
}

async function runFileAt(
  file: string,
  options: { timeoutMs?: number; checkout?: string } = {},
): Promise<FileResult> {
  using place = temporaryDirectory();
  return await runFile(file, {
    checkout: options.checkout ?? place.directory,
    node: process.execPath,
    workDirectory: place.directory,
    timeoutMs: options.timeoutMs ?? 60_000,
    env: { NODE_TEST_CONTEXT: '' },
    onHeartbeat: () => {},
  });
}

function isRunning(pid: string): boolean {
  return existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
}

function temporaryDirectory(): Disposable & { readonly directory: string } {
  const directory = mkdtempSync(join(tmpdir(), 'slipway-run-file-'));
  return { directory, [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }) };
}
