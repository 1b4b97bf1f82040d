/** What the program finds: its arguments, environment, directory, user, and nothing of the host's. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { isSlipwayError } from '../../../src/base/errors.ts';
import type { Sandbox } from '../../../src/runtime/driver.ts';
import { endStdin, patience, readUntil, runSandbox, specOf } from '../../support/run-sandbox.ts';
import { python, runPython, type Subject } from './subject.ts';

const showArguments = 'import json, sys; print(json.dumps(sys.argv[1:]))';
const showEnvironment = `
import json, os
own = dict(part.decode().split("=", 1) for part in open("/proc/1/environ", "rb").read().split(b"\\0") if part)
print(json.dumps([dict(os.environ), own]))`;

/** What a driver may add to what the image and the caller say. */
const mayAdd = new Set(['HOME', 'PATH', 'HOSTNAME', 'TMPDIR', 'USER', 'LANG']);
/** What Python adds to its own environment. */
const pythonAdds = new Set(['LC_CTYPE']);

export function describeProgram(subject: Subject): void {
  describe('program', () => {
    test('arguments arrive as they were given', async () => {
      const args = [
        ...[
          'two\nlines',
          `"double" 'single'`,
          '$(id) `id` $HOME',
          '--version',
          '-rf',
          '',
          ' ',
          '\t',
          '*',
          '\\',
        ],
        ...['\u{1f6a2} é', '\u0001\u001b[2J', 'x'.repeat(100_000)],
      ];
      const { stdout } = await runPython(subject, showArguments, { args });
      assert.deepEqual(JSON.parse(stdout.toString()), args);
    });

    test('what cannot be an argument or an environment variable is refused', async () => {
      const { driver, image } = subject();
      const wrong = [
        { argv: ['true', 'a\0b'], env: {} },
        { argv: ['true'], env: { A: 'x\0y' } },
        { argv: ['true'], env: { 'A=B': 'x' } },
        { argv: ['true'], env: { '': 'x' } },
      ];
      for (const part of wrong) {
        const created = driver.create(specOf({ image, ...part }), patience());
        await assert.rejects(created, (error) => isSlipwayError(error), JSON.stringify(part));
      }
    });

    test('an argument that no kernel takes is refused, or ends the program, and never cut', async () => {
      const { driver, image } = subject();
      const order = { image, argv: python(showArguments, 'x'.repeat(1024 * 1024)) };
      const outcome = await runSandbox(driver, order).catch((error: unknown) => error);
      if (outcome instanceof Error) return assert.ok(isSlipwayError(outcome), String(outcome));
      assert.match(JSON.stringify(outcome), /"code":126/);
    });

    test('the environment is that of the image and of the caller, and no other', async () => {
      process.env['SLIPWAY_CONTRACT_SECRET'] = 'host';
      const { image } = subject();
      const given = { PLAIN: 'a=b', LINES: 'x\ny', EMPTY: '', UNICODE: 'é\u{1f6a2}', lower_case: '$(id)' };
      const { stdout } = await runPython(subject, showEnvironment, { env: given });
      delete process.env['SLIPWAY_CONTRACT_SECRET'];
      const shown: Record<string, string>[] = JSON.parse(stdout.toString());
      for (const environment of shown) {
        const expected: Record<string, string> = { ...image.env, ...given };
        for (const [name, value] of Object.entries(expected)) assert.equal(environment[name], value, name);
        const added = Object.keys(environment).filter((name) => !(name in expected));
        assert.deepEqual(
          added.filter((name) => !mayAdd.has(name) && !pythonAdds.has(name)),
          [],
        );
      }
    });

    test('the caller can change what the image says', async () => {
      const { stdout } = await runPython(subject, 'import os; print(os.environ["PATH"])', {
        env: { PATH: `/nowhere:${subject().image.env['PATH'] ?? '/usr/bin:/bin'}` },
      });
      assert.match(stdout.toString(), /^\/nowhere:/);
    });

    test('it starts in a directory that it can write, and HOME is one too', async () => {
      const source = `
import os
print(os.getcwd())
open("here", "w").write("x")
open(os.path.expanduser("~/there"), "w").write("x")
import tempfile
tempfile.NamedTemporaryFile().close()`;
      const { stdout, stderr, status, files } = await runPython(subject, source);
      assert.equal(stderr.toString(), '');
      assert.equal(stdout.toString(), '/work\n');
      assert.ok(status.kind === 'exited' && status.code === 0);
      assert.deepEqual(
        files.map((file) => file.path),
        ['here'],
      );
    });

    test('an image that would start below /proc or /sys is refused, or starts elsewhere', async () => {
      const { driver, image } = subject();
      for (const workdir of ['/proc/self/fd/7', '/proc/self/fd/8/../..', '/sys', '/proc/1/root']) {
        const order = { image: { ...image, workdir }, argv: python('import os; print(os.getcwd())') };
        const outcome = await runSandbox(driver, order).catch((error: unknown) => error);
        if (outcome instanceof Error) assert.ok(isSlipwayError(outcome), String(outcome));
        else assert.equal(stdoutOf(outcome), '/work\n', workdir);
      }
    });

    test("it is the image's user inside, and nobody of this host outside", async () => {
      const { image, firstUid } = subject();
      const source = 'import os; print(os.getresuid(), os.getresgid(), os.getgroups())';
      const { stdout } = await runPython(subject, source);
      const { uid, gid, groups = [] } = image.user;
      const every = new Set(JSON.parse(`[${/\[(.*)\]/.exec(stdout.toString())?.[1] ?? ''}]`));
      assert.ok(stdout.toString().startsWith(`(${uid}, ${uid}, ${uid}) (${gid}, ${gid}, ${gid})`));
      assert.ok([...every].every((group) => group === gid || groups.includes(Number(group))));
      assert.ok(uid > 0 && gid > 0 && firstUid > 65_536);
    });

    test('two sandboxes at once have different uids outside, none of this host', async () => {
      await using first = await startWaiting(subject);
      await using second = await startWaiting(subject);
      const uids = await Promise.all([first, second].map((sandbox) => uidOutside(subject, sandbox)));
      assert.notEqual(uids[0], uids[1]);
      const passwd = await readFile('/etc/passwd', 'utf8');
      for (const uid of uids) {
        assert.ok(uid >= subject().firstUid, `${uid}`);
        assert.ok(!passwd.includes(`:${uid}:`));
      }
    });

    test('an image whose user is root is never run as uid 0 of this host', async () => {
      const { driver, image } = subject();
      const asRoot = { ...image, user: { ...image.user, uid: 0, gid: 0 } };
      const order = { image: asRoot, argv: python('import os; print(os.getuid(), os.getgid())') };
      const outcome = await runSandbox(driver, order).catch((error: unknown) => error);
      if (outcome instanceof Error) assert.ok(isSlipwayError(outcome), String(outcome));
      else assert.match(stdoutOf(outcome), /^[1-9]\d* [1-9]\d*\n$/);
    });

    test('a program without arguments is refused', async () => {
      const { driver, image } = subject();
      const bare = { ...image, entrypoint: [], cmd: [] };
      await assert.rejects(driver.create(specOf({ image: bare, argv: [] }), patience()), (error) =>
        isSlipwayError(error),
      );
    });
  });
}

function stdoutOf(outcome: unknown): string {
  assert.ok(typeof outcome === 'object' && outcome !== null && 'stdout' in outcome);
  return String(outcome.stdout);
}

async function startWaiting(subject: Subject): Promise<Sandbox> {
  const { driver, image } = subject();
  const argv = python('print("begun", flush=True)\ninput()');
  const sandbox = await driver.create(specOf({ image, argv, streams: 'merged' }), patience());
  await sandbox.start(patience());
  await readUntil(sandbox.logs(patience())[Symbol.asyncIterator](), 'begun');
  return sandbox;
}

/** The one uid of everything inside. */
async function uidOutside(subject: Subject, sandbox: Sandbox): Promise<number> {
  const pids = await subject().pidsOf(sandbox.ref);
  assert.ok(pids.length > 0);
  const ids = new Set<string>();
  for (const pid of pids) {
    const status = await readFile(`/proc/${pid}/status`, 'utf8');
    for (const id of /^Uid:\s+(.*)$/m.exec(status)?.[1]?.split(/\s+/) ?? []) ids.add(id);
  }
  assert.equal(ids.size, 1);
  endStdin(sandbox);
  return Number([...ids][0]);
}
