/**
 * A small checkout in a temporary directory that only its owner can enter: the real bin/ and scripts/, a
 * program of a few lines, and two packages, one of them for development.
 */
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const checkout = join(import.meta.dirname, '..', '..');

export interface SmallCheckout extends Disposable {
  readonly directory: string;
  /** Writes a file of the checkout, with its directories. */
  write(path: string, text: string): void;
}

/** @param main the text of src/main.ts */
export function createSmallCheckout(main = "console.log('hello');"): SmallCheckout {
  const directory = mkdtempSync(join(tmpdir(), 'slipway-checkout-'));
  const write = (path: string, text: string): void => {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), text);
  };
  for (const part of ['bin', 'scripts'])
    cpSync(join(checkout, part), join(directory, part), { recursive: true });
  write('src/main.ts', main);
  write('src/main.test.ts', 'a test is not staged');
  write('package.json', JSON.stringify({ name: 'slipway', version: '0.1.0', type: 'module' }));
  writePackages(write);
  return { directory, write, [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }) };
}

function writePackages(write: SmallCheckout['write']): void {
  const packages = {
    '': { name: 'slipway', version: '0.1.0' },
    'node_modules/needed': { version: '1.0.0' },
    'node_modules/needed/node_modules/nested': { version: '1.0.0' },
    'node_modules/for-tests': { version: '1.0.0', dev: true },
  };
  const lock = JSON.stringify({ name: 'slipway', version: '0.1.0', lockfileVersion: 3, packages });
  write('package-lock.json', lock);
  write('node_modules/.package-lock.json', lock);
  for (const name of ['needed', 'needed/node_modules/nested', 'for-tests']) {
    write(`node_modules/${name}/package.json`, JSON.stringify({ name, version: '1.0.0', main: 'index.js' }));
    write(`node_modules/${name}/index.js`, `exports.answer = '${name}';`);
  }
}
