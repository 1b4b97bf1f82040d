'use strict';
/** Debian's packages that Slipway calls, and the system user it runs as. */
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { SetupError, lastLines, run, which, withProgress } = require('./shell.cjs');

const requirements = require('../requirements.json');
const listsDirectory = '/var/lib/apt/lists';
const dayMs = 24 * 60 * 60 * 1000;

/** The Debian packages of these groups (`run`, `build`, `test`) whose command or file is not there. */
function missingPackages(groups) {
  return requirements
    .filter((entry) => groups.includes(entry.group) && !isPresent(entry.probe))
    .map((entry) => entry.package);
}

function isPresent(probe) {
  return probe.startsWith('/') ? fs.existsSync(probe) : which(probe) !== undefined;
}

/** What a person types to install them. */
function installCommand(packages) {
  return `apt-get install -y --no-install-recommends ${packages.join(' ')}`;
}

async function installPackages(packages) {
  if (!which('apt-get')) {
    throw new SetupError(
      `Slipway needs ${packages.join(', ')}, and this machine has no apt-get to install them with. ` +
        'Install them with its own package manager, then start again.',
    );
  }
  await withProgress(`apt-get install ${packages.join(' ')}`, async (onLine) => {
    if (!hasFreshLists()) await aptGet(['update'], onLine);
    const first = await aptInstall(packages, onLine);
    if (first.ok) return;
    await aptGet(['update'], onLine);
    const second = await aptInstall(packages, onLine);
    if (!second.ok) throw aptFailed(packages, second);
  });
}

function aptInstall(packages, onLine) {
  return aptGet(['install', '-y', '--no-install-recommends', ...packages], onLine);
}

function aptGet(args, onLine) {
  return run([which('apt-get'), '-q', '-o', 'DPkg::Lock::Timeout=120', '-o', 'Acquire::Retries=2', ...args], {
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C.UTF-8' },
    onLine,
  });
}

function aptFailed(packages, result) {
  return new SetupError(
    `apt-get failed (${result.status}). Its last lines:\n${lastLines(result.output)}\n` +
      `Mend what they say, or type as root: ${installCommand(packages)}`,
  );
}

/** Whether apt's lists are there and not older than a day. */
function hasFreshLists() {
  let names = [];
  try {
    names = fs.readdirSync(listsDirectory).filter((name) => /_(Packages|InRelease)(\.\w+)?$/.test(name));
  } catch {
    return false;
  }
  return names.some((name) => Date.now() - fs.statSync(path.join(listsDirectory, name)).ctimeMs < dayMs);
}

const userName = 'slipway';
const userCommand = [
  'useradd',
  '--system',
  '--user-group',
  '--no-create-home',
  '--home-dir',
  '/nonexistent',
].concat(['--shell', '/usr/sbin/nologin', userName]);

function isUserMissing() {
  return spawnSync('id', ['-u', userName], { stdio: 'ignore' }).status !== 0;
}

async function addUser() {
  const argv = [which(userCommand[0]) || userCommand[0], ...userCommand.slice(1)];
  const result = await withProgress(`the system user ${userName}`, () => run(argv));
  if (result.ok || !isUserMissing()) return;
  throw new SetupError(`useradd failed (${result.status}):\n${lastLines(result.output)}`);
}

module.exports = { missingPackages, installPackages, installCommand, isUserMissing, addUser, userCommand };
