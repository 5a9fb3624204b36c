/**
 * `sluice bench [options]`: the benchmarks of a checkout, as `node dist/bench/main.js` with the same arguments. They
 * run in a process of their own, so that nothing of this one is measured, and write where this one writes. An
 * installed package has none, and says so.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { SluiceError } from '../errors.ts';
import type { DefineVerb, Terminal } from './terminal.ts';

/** Beside the compiled command line, and from its sources. */
const PLACES = ['../../bench/main.js', '../../dist/bench/main.js'];

export const define: DefineVerb = (command, terminal) => {
  command
    .argument(
      '[options...]',
      'options of the benchmarks, e.g. --list, --case NAME, --runs N, --quick, --json -',
    )
    .allowUnknownOption()
    .helpOption('-h, --help', 'print this help; the benchmarks print theirs on `sluice bench -- --help`')
    .addHelpText('after', '\nResults that are kept stand in bench/RESULTS.md.')
    .action((args: string[]) => bench(args, terminal));
};

async function bench(args: readonly string[], terminal: Terminal): Promise<void> {
  const runner = PLACES.map((place) => fileURLToPath(new URL(place, import.meta.url))).find(existsSync);
  if (!runner)
    throw new SluiceError(
      'TOOL_MISSING',
      'there are no benchmarks here: they come with a checkout of Sluice; there, build it with `node_modules/.bin/tsc -p .`',
    );
  const child = spawn(process.execPath, [runner, ...args], { stdio: 'inherit' });
  terminal.exitCode = await new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    // Ended by a signal: Ctrl-C reaches it as well as this process.
    child.once('exit', (code) => resolve(code ?? 130));
  });
}
