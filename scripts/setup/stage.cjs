'use strict';
/**
 * Staging: a root-owned, world-readable copy of the program and its Node, because a checkout may lie below
 * a directory that only root can enter, and the control plane runs as an unprivileged user.
 *
 *   /opt/slipway/0.1.0-<hash of the program>/   bin/ src/ python/ … and node_modules → ../deps-…/node_modules
 *   /opt/slipway/deps-<hash of the lock>/       the packages that are not for development, and Node 24
 *
 * A copy is made under a temporary name and renamed, so that one that exists is whole; its manifest tells
 * when somebody altered it. Not here: when staging happens (setup.cjs) and who runs from it (bin/).
 */
const fs = require('node:fs');
const path = require('node:path');
const { createHash, randomBytes } = require('node:crypto');
const { SetupError } = require('./shell.cjs');
const { isWhole, manifestName, writeManifest } = require('./manifest.cjs');
const { prune, temporaryPrefix } = require('./prune.cjs');

const defaultRoot = '/opt/slipway';
const programParts = [
  'bin',
  'src',
  'python',
  'node',
  'images',
  'examples',
  'scripts',
  'package.json',
  'package-lock.json',
];
const leftOut = /(\.test\.ts|\.pyc|~|\.swp)$|^(\.#.*|__pycache__)$/;

/**
 * Stages a checkout, or finds it staged already.
 *
 * @param {string} checkout
 * @param {{root?: string, verify?: boolean, onCopy?: (what: string) => void}} [options] `root`: where to;
 *   `verify`: compare contents, not only sizes and times; `onCopy`: told before something is copied
 * @returns {string} the staged directory
 * @throws {SetupError} when the place is not enterable by others or holds a symbolic link
 */
function stage(checkout, options = {}) {
  const root = options.root || defaultRoot;
  makeRoot(root);
  const program = readProgram(checkout);
  const lock = JSON.parse(findFile(program, 'package-lock.json').content.toString('utf8'));
  const deps = `deps-${hashOf([findFile(program, 'package-lock.json')])}`;
  const name = `${lock.version}-${hashOf(program)}`;
  settle(path.join(root, deps), options, (target) => copyPackages(checkout, lock, target));
  settle(path.join(root, name), options, (target) => {
    for (const file of program) writeFile(path.join(target, file.path), file.content, file.executable);
    fs.symlinkSync(`../${deps}/node_modules`, path.join(target, 'node_modules'));
  });
  prune(root, name);
  return path.join(root, name);
}

/** Whether this directory is a staged copy, not a checkout. */
function isStaged(directory) {
  return fs.existsSync(path.join(directory, manifestName));
}

function makeRoot(root) {
  if (!fs.existsSync(root)) {
    fs.mkdirSync(root, { recursive: true });
    fs.chmodSync(root, 0o755);
  }
  for (let at = path.resolve(root); ; at = path.dirname(at)) {
    if (fs.statSync(at).mode & 0o001) {
      if (at === '/') return;
      continue;
    }
    throw new SetupError(
      `Slipway runs its control plane from ${root} as an unprivileged user, who cannot enter ${at}. ` +
        `Type: chmod o+x ${at}`,
    );
  }
}

/** Every file of the program with its content, sorted by path. */
function readProgram(checkout) {
  const files = programParts.flatMap((part) => [...listFiles(checkout, part)]);
  return files
    .sort((a, b) => (a.path < b.path ? -1 : 1))
    .map((file) => ({ ...file, content: fs.readFileSync(path.join(checkout, file.path)) }));
}

function findFile(program, name) {
  const found = program.find((file) => file.path === name);
  if (found) return found;
  throw new SetupError(`The checkout has no ${name}: it is not a checkout of Slipway, or a broken one.`);
}

/** The regular files at and below `at` (relative to `base`), without tests and leftovers of tools. */
function* listFiles(base, at) {
  if (leftOut.test(path.basename(at))) return;
  const stat = fs.lstatSync(path.join(base, at), { throwIfNoEntry: false });
  if (!stat) return;
  if (stat.isFile()) yield { path: at, executable: (stat.mode & 0o100) !== 0 };
  if (stat.isSymbolicLink())
    throw new SetupError(`${path.join(base, at)} is a symbolic link; staging has none.`);
  if (!stat.isDirectory()) return;
  for (const name of fs.readdirSync(path.join(base, at))) yield* listFiles(base, path.join(at, name));
}

function hashOf(files) {
  const hash = createHash('sha256');
  for (const file of files) {
    hash
      .update(`${file.path}\0${file.executable ? 'x' : '-'}\0${file.content.length}\0`)
      .update(file.content);
  }
  return hash.digest('hex').slice(0, 12);
}

/** Makes `target` by `fill` unless it is there and whole; never leaves it half done. */
function settle(target, options, fill) {
  if (isWhole(target, options.verify)) return;
  if (options.onCopy) options.onCopy(target);
  const temporary = temporaryBeside(target);
  makeDirectory(temporary);
  fill(temporary);
  writeManifest(temporary);
  if (fs.existsSync(target)) fs.renameSync(target, temporaryBeside(target));
  try {
    fs.renameSync(temporary, target);
  } catch (error) {
    if (!['ENOTEMPTY', 'EEXIST'].includes(error.code)) throw error;
    fs.rmSync(temporary, { recursive: true }); // another set-up was faster
  }
}

function temporaryBeside(target) {
  const name = `${temporaryPrefix}${process.pid}-${randomBytes(4).toString('hex')}`;
  return path.join(path.dirname(target), name);
}

/** The packages that the program needs at run time, as package-lock.json says. */
function copyPackages(checkout, lock, target) {
  const keys = Object.keys(lock.packages).filter((key) => key !== '' && !lock.packages[key].dev);
  for (const key of keys) {
    if (fs.existsSync(path.join(checkout, key)))
      copyPackage(path.join(checkout, key), path.join(target, key));
    else if (!lock.packages[key].optional) throw new SetupError(`${key} is missing. Type: npm ci`);
  }
}

/** One package without the packages nested in it; of Node itself only the program, not its headers. */
function copyPackage(from, to) {
  const isNode = path.basename(from).startsWith('node-linux-');
  const skipped = isNode ? ['node_modules', 'include', 'share'] : ['node_modules'];
  makeDirectory(to);
  for (const name of fs.readdirSync(from))
    if (!skipped.includes(name)) copyTree(path.join(from, name), path.join(to, name));
}

function copyTree(from, to) {
  const stat = fs.lstatSync(from);
  if (stat.isFile()) return copyFile(from, to, stat);
  if (!stat.isDirectory()) return; // a package from the registry holds no links; one of a tool is not needed
  makeDirectory(to);
  for (const name of fs.readdirSync(from)) copyTree(path.join(from, name), path.join(to, name));
}

function copyFile(from, to, stat) {
  fs.copyFileSync(from, to, fs.constants.COPYFILE_FICLONE);
  fs.chmodSync(to, stat.mode & 0o100 ? 0o755 : 0o644);
}

function writeFile(file, content, executable) {
  makeDirectory(path.dirname(file));
  fs.writeFileSync(file, content);
  fs.chmodSync(file, executable ? 0o755 : 0o644);
}

/** A directory that everybody may enter, whatever the umask; missing parents too. */
function makeDirectory(directory) {
  if (fs.existsSync(directory)) return;
  makeDirectory(path.dirname(directory));
  fs.mkdirSync(directory);
  fs.chmodSync(directory, 0o755);
}

module.exports = { stage, isStaged, defaultRoot };
