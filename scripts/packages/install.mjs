/**
 * Runs when npm installs the published package: nothing where the addon of the platform's package opens, otherwise
 * the addon is built from the sources that come along. Fails with what is missing where neither goes, so that nobody
 * finds out only at the first event.
 */
import { createRequire } from 'node:module';
import path from 'node:path';
import { loadAddon } from '../../dist/src/model/addon.js';
import { checkCompiler } from '../compiler.mjs';
import { Failure, root, say, step } from '../terminal.mjs';

async function build() {
  checkCompiler();
  const cmakeJs = createRequire(import.meta.url).resolve('cmake-js/bin/cmake-js');
  const args = [cmakeJs, 'compile', '--directory', root, '--out', path.join(root, 'build')];
  await step('addon', 'building the native addon', 'native addon built', process.execPath, args);
  loadAddon();
}

try {
  let reason = null;
  try {
    loadAddon();
  } catch (error) {
    reason = error.message;
  }
  if (reason !== null) {
    say(`sluice: ${reason}`);
    await build();
  }
} catch (error) {
  say(error instanceof Failure ? error.message : String(error.stack ?? error));
  process.exitCode = 1;
}
