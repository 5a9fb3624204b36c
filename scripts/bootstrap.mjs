/**
 * `npm start` and `npm test`: sets up what is missing or out of date, then runs. Needs nothing but Node: it is what
 * installs the rest. Progress goes to stderr, stdout belongs to the program that is run.
 *
 *   node scripts/bootstrap.mjs start -- [options of `sluice demo`]
 *   node scripts/bootstrap.mjs test  -- [test files or other arguments of vitest: then only those run]
 */
import { spawn } from 'node:child_process';
import os from 'node:os';
import path from 'node:path';
import { setup } from './setup.mjs';
import { Failure, root, say } from './terminal.mjs';

/** npm and the terminal both deliver Ctrl-C; the program must see it once. */
const SAME_SIGNAL_WITHIN_MS = 400;

/** Runs the program in this one's place: its output is ours, signals go to it, its exit code is ours. */
function become(program, args) {
  // A session of its own, so that each signal reaches it through us alone.
  const child = spawn(program, args, { cwd: process.cwd(), stdio: 'inherit', detached: true });
  const last = new Map();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => {
      const now = performance.now();
      if (now - (last.get(signal) ?? -Infinity) < SAME_SIGNAL_WITHIN_MS) return;
      last.set(signal, now);
      // The terminal went away: that is an end, not a request to reload.
      child.kill(signal === 'SIGHUP' ? 'SIGTERM' : signal);
    });
  }
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve(code ?? 128 + os.constants.signals[signal]));
  });
}

async function main([verb, ...rest]) {
  const args = rest[0] === '--' ? rest.slice(1) : rest;
  if (verb !== 'start' && verb !== 'test')
    throw new Failure('usage: bootstrap.mjs start|test -- [arguments]');
  await setup();
  if (verb === 'start')
    return become(process.execPath, [path.join(root, 'dist', 'src', 'main.js'), 'demo', ...args]);
  const { test } = await import('./suite.mjs');
  return test(args);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof Failure)) throw error;
  say(error.message);
  process.exitCode = 1;
}
