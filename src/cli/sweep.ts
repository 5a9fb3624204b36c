/**
 * `sluice sweep TASK --input PATH … --budget N --out BUNDLE`: many configurations of features, model and
 * hyper-parameters, by successive halving on a validation part that lies before the test part in time. The best is trained
 * again on both parts before the test part, tested once, and written as a bundle. Killed and started again, it goes on.
 */
import { type Given, parseAsked } from './experiments/asked.ts';
import { defineExperiments } from './experiments/define.ts';
import { runExperiments } from './experiments/run.ts';
import type { DefineVerb } from './terminal.ts';

export const define: DefineVerb = (command, terminal) => {
  defineExperiments(command)
    .requiredOption('--budget <n>', 'how many configurations are tried; the first is the one configured')
    .option('--fixed-features', 'searches model and hyper-parameters only')
    .option(
      '--workers <n>',
      'threads that prepare mail, then processes that try (default: one a core; results do not depend on it)',
    )
    .option('--memory <size>', 'memory that one process may hold (default: its part of 80 % of the machine)')
    .addHelpText('after', EXAMPLES)
    .action((task: string, given: Given) =>
      runExperiments(parseAsked('sweep', task, given, terminal), terminal),
    );
};

const EXAMPLES = `
Examples:
  sluice sweep spam --input mail/index.tsv --budget 20 --out spam.bundle --key hub.key
  sluice sweep sensor --input plant.csv --label fault --budget 50 --json leaderboard.json --out plant.bundle

Stopped or killed, the same command goes on from the trials in BUNDLE.sweep/, which is removed in the end.`;
