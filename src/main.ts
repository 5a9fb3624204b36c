#!/usr/bin/env node
/**
 * The process around the command line. Promises: one exit code for each way to end, output is flushed
 * before the process ends, a reader that goes away (`sluice … | head`) ends it quietly, and what nobody
 * caught is reported as INTERNAL with exit code 1 instead of a stack trace.
 */
import { runCli, showFailure } from './cli/index.ts';
import type { Terminal } from './cli/terminal.ts';
import { asSluiceError } from './errors.ts';

const terminal: Terminal = {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  exitCode: 0,
};

// The reader of our results is gone: nobody is left to tell, and it is not a failure. A verb that knows
// how to stop cleanly is asked to. Losing the reader of the log stops nothing.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  if (process.listenerCount('SIGTERM') > 0) process.emit('SIGTERM');
  else process.exit(0);
});
process.stderr.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

function giveUp(error: unknown): never {
  process.exit(showFailure(asSluiceError(error), terminal));
}
process.on('uncaughtException', giveUp);
process.on('unhandledRejection', giveUp);

const code = await runCli(process.argv.slice(2), terminal);
// Not process.exit at once: results in a pipe would be cut off.
process.stdout.write('', () => process.exit(code));
