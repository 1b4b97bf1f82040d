'use strict';
/** The image `python`, made by the program itself (src/images/) through Node 24. */
const path = require('node:path');
const { spawn } = require('node:child_process');
const { SetupError } = require('./shell.cjs');
const { node24 } = require('./node.cjs');

/**
 * Makes sure that the image exists; its progress goes to stderr. Quick when it does.
 *
 * @param {string} staged the staged directory to run from
 */
function ensurePythonImage(staged) {
  const script = path.join(staged, 'scripts', 'setup', 'ensure-image.ts');
  return new Promise((resolve, reject) => {
    const child = spawn(node24(staged), [script, 'python'], { cwd: '/', stdio: ['ignore', 2, 2] });
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      if (code === 0) resolve();
      else
        reject(
          new SetupError(
            `The image "python" could not be made (${signal || `exit status ${code}`}), see above.`,
          ),
        );
    });
  });
}

module.exports = { ensurePythonImage };
