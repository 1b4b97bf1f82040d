/** supply: what is put in is there, exact, whole, and cannot be changed from inside. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { isSlipwayError } from '../../../src/base/errors.ts';
import type { InputFile, Sandbox } from '../../../src/runtime/driver.ts';
import { assertNothingLeft } from '../../support/leftovers.ts';
import {
  drain,
  endStdin,
  inputFile,
  inputs,
  patience,
  readUntil,
  specOf,
} from '../../support/run-sandbox.ts';
import { python, runPython, type Subject } from './subject.ts';

const mib = 1024 * 1024;

export function describeInputs(subject: Subject): void {
  const create = (source = 'input()'): Promise<Sandbox> => {
    const { driver, image } = subject();
    return driver.create(specOf({ image, argv: python(source), streams: 'merged' }), patience());
  };

  describe('inputs', () => {
    test('/data is there and empty without supply', async () => {
      const { stdout } = await runPython(subject, 'import os; print(os.listdir("/data"))');
      assert.equal(stdout.toString(), '[]\n');
    });

    test('files arrive with their names, folders and bytes', async () => {
      const large = randomBytes(20 * mib);
      const files = {
        'plain.txt': 'text',
        empty: '',
        'a/b/c/deep.bin': Buffer.from([0, 255, 10]),
        'odd name $(id) \n é': 'odd',
        '-rf': 'dash',
        'large.bin': large,
      };
      const source = `
import hashlib, json, os
found = {}
for at, _, names in os.walk("/data"):
    for name in names:
        path = os.path.join(at, name)
        found[os.path.relpath(path, "/data")] = hashlib.sha256(open(path, "rb").read()).hexdigest()
print(json.dumps(found))`;
      const { stdout } = await runPython(subject, source, { files });
      const expected = Object.entries(files).map(([path, bytes]) => [
        path,
        createHash('sha256').update(bytes).digest('hex'),
      ]);
      assert.deepEqual(JSON.parse(stdout.toString()), Object.fromEntries(expected));
    });

    test('10 000 files', async () => {
      const files = Object.fromEntries(
        Array.from({ length: 10_000 }, (_, i) => [`d${i % 100}/f${i}`, `${i}`]),
      );
      const source = `
import os
found = [os.path.join(at, name) for at, _, names in os.walk("/data") for name in names]
print(len(found), sum(int(open(path).read()) for path in found))`;
      const { stdout } = await runPython(subject, source, { files });
      assert.equal(stdout.toString(), '10000 49995000\n');
    });

    test('nothing in /data can be changed', async () => {
      const source = `
import os
tries = {
    "write": lambda: open("/data/a.txt", "a"),
    "create": lambda: open("/data/new", "w"),
    "unlink": lambda: os.unlink("/data/a.txt"),
    "rename": lambda: os.rename("/data/a.txt", "/data/b.txt"),
    "over": lambda: os.rename("/work/x", "/data/a.txt"),
    "link": lambda: os.link("/data/a.txt", "/data/l"),
    "symlink": lambda: os.symlink("/etc", "/data/s"),
    "mkdir": lambda: os.mkdir("/data/d"),
    "rmdir": lambda: os.rmdir("/data/sub"),
    "chmod": lambda: os.chmod("/data/a.txt", 0o777),
    "chown": lambda: os.chown("/data/a.txt", os.getuid(), os.getgid()),
    "utime": lambda: os.utime("/data/a.txt"),
    "xattr": lambda: os.setxattr("/data/a.txt", "user.x", b"1"),
    "truncate": lambda: os.truncate("/data/a.txt", 0),
}
open("/work/x", "w").close()
for name, action in tries.items():
    try:
        action()
        print(name, "worked")
    except OSError as error:
        if error.errno not in (30, 1, 13, 18, 95): print(name, error)
print(open("/data/a.txt").read())`;
      const { stdout } = await runPython(subject, source, {
        files: { 'a.txt': 'kept', 'sub/b.txt': 'kept' },
      });
      assert.equal(stdout.toString(), 'kept\n');
    });

    test('two supplies add up', async () => {
      await using sandbox = await create('import os; print(sorted(os.listdir("/data")))');
      await sandbox.supply(inputs({ a: '1' }), patience());
      await sandbox.supply(inputs({ b: '2' }), patience());
      await sandbox.start(patience());
      endStdin(sandbox);
      assert.equal(await drain(sandbox.logs(patience())[Symbol.asyncIterator]()), "['a', 'b']\n");
    });

    const waitingForInput = 'print("begun", flush=True)\ninput()\nprint(open("/data/late").read())';

    test('supply after start: works where the spec asks for it and the driver can, read-only', async () => {
      const { driver, image } = subject();
      if (!driver.capabilities.lateSupply) return await assertRefusedLate();
      const source = `${waitingForInput}\ntry: open("/data/new", "w")\nexcept OSError as e: print(e.errno)`;
      const spec = { ...specOf({ image, argv: python(source), streams: 'merged' }), lateInputs: true };
      await using sandbox = await driver.create(spec, patience());
      await sandbox.start(patience());
      const logs = sandbox.logs(patience())[Symbol.asyncIterator]();
      await readUntil(logs, 'begun');
      await sandbox.supply(inputs({ late: 'there', 'deep/er': 'x' }), patience());
      endStdin(sandbox, '\n');
      assert.match(await drain(logs), /^\s*there\n(30|13)\n$/);
      await assert.rejects(sandbox.supply(inputs({ late: 'again' }), patience()), (error) =>
        isSlipwayError(error),
      );
    });

    test('supply after start is refused where the spec does not ask for it', assertRefusedLate);

    async function assertRefusedLate(): Promise<void> {
      await using sandbox = await create(waitingForInput);
      await sandbox.start(patience());
      const logs = sandbox.logs(patience())[Symbol.asyncIterator]();
      await readUntil(logs, 'begun');
      await assert.rejects(sandbox.supply(inputs({ late: 'there' }), patience()), (error) => {
        return isSlipwayError(error) && error.kind === 'unsupported';
      });
      endStdin(sandbox, '\n');
      assert.match(await drain(logs), /FileNotFoundError/);
    }

    test('a stream that breaks is an error, and nothing is left of it', async () => {
      const sandbox = await create();
      async function* broken(): AsyncGenerator<InputFile> {
        yield inputFile('a', Buffer.from('whole'));
        throw new Error('the caller went away');
      }
      await assert.rejects(sandbox.supply(broken(), patience()), /went away/);
      await sandbox.destroy();
      await assertNothingLeft(subject().scope);
    });

    for (const [what, size] of [
      ['longer', 3],
      ['shorter', 10],
    ] as const) {
      test(`a file that is ${what} than announced is refused`, async () => {
        await using sandbox = await create();
        async function* wrong(): AsyncGenerator<InputFile> {
          yield { ...inputFile('a', Buffer.from('12345')), sizeBytes: size };
        }
        await assert.rejects(sandbox.supply(wrong(), patience()), (error) => isSlipwayError(error));
      });
    }

    test('a path that would leave /data is refused, though it was promised to be checked', async () => {
      for (const path of ['../out', '/etc/out', 'a/../../out']) {
        await using sandbox = await create();
        await assert.rejects(sandbox.supply(inputs({ [path]: 'x' }), patience()), path);
      }
    });

    test('an aborted supply stops', async () => {
      await using sandbox = await create();
      const abort = new AbortController();
      async function* endless(): AsyncGenerator<InputFile> {
        for (let i = 0; ; i++) {
          if (i === 20) abort.abort();
          yield inputFile(`f${i}`, Buffer.alloc(1000));
        }
      }
      await assert.rejects(sandbox.supply(endless(), abort.signal));
    });
  });
}
