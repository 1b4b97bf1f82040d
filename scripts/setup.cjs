'use strict';
/**
 * Set-up: everything Slipway needs on a Debian machine, each step with a check and an action, so that it
 * can be repeated at any time and is quick when nothing is to do. `npm start`, `npm test` and
 * `npm run bench` call it; by hand: `node scripts/setup.cjs [--only node,debian,user,staging,image] [--verify]`.
 * Without root it installs node_modules and says what to type for the rest.
 */
const fs = require('node:fs');
const path = require('node:path');
const debian = require('./setup/debian.cjs');
const { ensurePythonImage } = require('./setup/image.cjs');
const { installNode, missingNode } = require('./setup/node.cjs');
const { SetupError, say, which } = require('./setup/shell.cjs');
const { isStaged, stage } = require('./setup/stage.cjs');

const checkout = fs.realpathSync(path.join(__dirname, '..'));
const allGroups = ['run', 'build', 'test'];

/**
 * A step: `check` says what is missing (undefined: nothing), `act` mends it, `commands` is what a person
 * types instead when not root (absent: needs no root).
 */
const steps = [
  {
    name: 'node',
    check: () => missingNode(checkout),
    act: () => installNode(checkout),
  },
  {
    name: 'debian',
    check: (context) => debian.missingPackages(context.groups).join(' ') || undefined,
    act: (context) => installPackages(context.groups),
    commands: (context) => ['apt-get update', debian.installCommand(debian.missingPackages(context.groups))],
  },
  {
    name: 'user',
    check: () => (debian.isUserMissing() ? 'the system user is missing' : undefined),
    act: debian.addUser,
    commands: () => [debian.userCommand.join(' ')],
  },
];

async function installPackages(groups) {
  await debian.installPackages(debian.missingPackages(groups));
  const missing = debian.missingPackages(groups);
  if (missing.length > 0)
    throw new SetupError(`apt-get succeeded, yet these are not there: ${missing.join(' ')}`);
}

/**
 * Sets up what is missing.
 *
 * @param {{only?: string[], groups?: string[], verify?: boolean, quiet?: boolean}} [options] `only`: these
 *   steps; `groups`: which Debian packages (`run`, `build`, `test`); `quiet`: no word when nothing was to do
 * @returns {Promise<{staged: string | undefined}>} the staged directory, if that step ran
 * @throws {SetupError} with what to do
 */
async function setup(options = {}) {
  if (isStaged(checkout)) throw new SetupError(`${checkout} is a staged copy; set-up runs in a checkout.`);
  const started = Date.now();
  const context = { groups: options.groups || allGroups, verify: options.verify === true };
  const wanted = (name) => !options.only || options.only.includes(name);
  const todo = await runSteps(
    steps.filter((step) => wanted(step.name)),
    context,
  );
  const privileged = ['staging', 'image'].filter(wanted);
  if (todo.length > 0 || (privileged.length > 0 && !isRoot())) throw needsRoot(todo, privileged);
  const staged = privileged.length > 0 ? await stageCheckout(context) : undefined;
  if (wanted('image')) await ensurePythonImage(staged);
  if (!options.quiet) say(`✓ set up (${((Date.now() - started) / 1000).toFixed(1)} s)`);
  return { staged };
}

/** Runs these steps; returns what a person has to type because we are not root. */
async function runSteps(chosen, context) {
  const commands = [];
  for (const step of chosen) {
    if (step.check(context) === undefined) continue;
    if (step.commands && !isRoot()) commands.push(...step.commands(context));
    else await step.act(context);
  }
  return commands;
}

function isRoot() {
  return process.getuid() === 0;
}

function needsRoot(commands, privileged) {
  const script = `node ${path.join(checkout, 'scripts/setup.cjs')}`;
  const all = privileged.length > 0 ? [...commands, `${script} --only ${privileged.join(',')}`] : commands;
  const lines = all.map((command) => `    ${asRoot(command)}`);
  return new SetupError(
    `The rest of the set-up needs root, as does running sandboxes. Start this again as root, or type:\n${lines.join('\n')}`,
  );
}

function asRoot(command) {
  return which('sudo') ? `sudo ${command}` : `su -c '${command}'`;
}

async function stageCheckout(context) {
  const copied = [];
  const begin = Date.now();
  const staged = stage(checkout, { verify: context.verify, onCopy: (target) => copied.push(target) });
  for (const target of copied) say(`✓ staged ${target} (${((Date.now() - begin) / 1000).toFixed(1)} s)`);
  return staged;
}

function parseArguments(args) {
  const options = { verify: args.includes('--verify') };
  const at = args.indexOf('--only');
  if (at >= 0) options.only = (args[at + 1] || '').split(',');
  const known = [...steps.map((step) => step.name), 'staging', 'image'];
  const unknown = (options.only || []).find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw new SetupError(`There is no step "${unknown}". Steps: ${known.join(', ')}.`);
  return options;
}

/** Says what went wrong, without a stack when the message was written for a person; exits with 1. */
function fail(error) {
  say(error instanceof SetupError ? `✗ ${error.message}` : `✗ ${error.stack}`);
  process.exit(1);
}

if (require.main === module) {
  Promise.resolve()
    .then(() => setup(parseArguments(process.argv.slice(2))))
    .catch(fail);
}

module.exports = { setup, stage: (directory) => stage(directory || checkout), checkout, fail };
