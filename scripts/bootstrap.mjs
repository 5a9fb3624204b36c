/**
 * `npm start` and `npm test`: sets up what is missing or out of date, then runs. Needs nothing but Node: it is what
 * installs the rest. Progress goes to stderr, stdout belongs to the program that is run.
 *
 *   node scripts/bootstrap.mjs start -- [options of `sluice demo`]
 *   node scripts/bootstrap.mjs test  -- [test files or other arguments of vitest: then only those run]
 */
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { setup } from './setup.mjs';
import { Failure, root, say } from './terminal.mjs';

/** The terminal and npm both deliver Ctrl-C, and the program takes a second one as "at once". */
const SAME_SIGNAL_WITHIN_MS = 500;

/**
 * Goes on as the program: in this very process, so that there is nobody between it and its signals, its terminal and
 * its exit code, and nothing left behind when it is killed.
 */
async function become(script, args) {
  const emit = process.emit;
  const last = new Map();
  process.emit = function (name, ...rest) {
    if (name === 'SIGINT' || name === 'SIGTERM') {
      const now = performance.now();
      if (now - (last.get(name) ?? -Infinity) < SAME_SIGNAL_WITHIN_MS) return true;
      last.set(name, now);
    }
    return emit.call(this, name, ...rest);
  };
  process.argv = [process.execPath, script, ...args];
  await import(pathToFileURL(script).href);
}

async function main([verb, ...rest]) {
  const args = rest[0] === '--' ? rest.slice(1) : rest;
  if (verb !== 'start' && verb !== 'test')
    throw new Failure('usage: bootstrap.mjs start|test -- [arguments]');
  await setup();
  if (verb === 'start') return become(path.join(root, 'dist', 'src', 'main.js'), ['demo', ...args]);
  const { test } = await import('./suite.mjs');
  return test(args);
}

try {
  const code = await main(process.argv.slice(2));
  if (code !== undefined) process.exitCode = code;
} catch (error) {
  if (!(error instanceof Failure)) throw error;
  say(error.message);
  process.exitCode = 1;
}
