/**
 * `sluice train TASK --input PATH … --out BUNDLE`: one configuration. It is trained on the oldest events, measured on
 * those behind them, trained again on both, tested once on the newest, and written as a bundle.
 */
import { WORKERS } from './evaluate/asked.ts';
import { type Given, parseAsked } from './experiments/asked.ts';
import { defineExperiments } from './experiments/define.ts';
import { runExperiments } from './experiments/run.ts';
import type { DefineVerb } from './terminal.ts';

export const define: DefineVerb = (command, terminal) => {
  defineExperiments(command)
    .option('--workers <n>', WORKERS, '0')
    .addHelpText('after', EXAMPLES)
    .action((task: string, given: Given) =>
      runExperiments(parseAsked('train', task, given, terminal), terminal),
    );
};

const EXAMPLES = `
Examples:
  sluice train spam --input mail/index.tsv --out spam.bundle --key hub.key
  sluice train sensor --input plant.csv --label fault --set rate=0.2 --passes 2 --out plant.bundle
  sluice train machine -c sluice.yaml --input march.csv --test-input april.csv --out machine.bundle`;
