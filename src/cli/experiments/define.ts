/** The options that `train` and `sweep` share. */
import type { Command } from 'commander';
import { defineData, defineModel } from '../evaluate/data.ts';
import { collect } from '../terminal.ts';

export function defineExperiments(command: Command): Command {
  return defineModel(
    defineData(
      command.argument('<task>', 'spam, sensor, or a task of -c FILE'),
      'data to learn from, in order of time',
    ),
  )
    .optionsGroup('Experiment:')
    .requiredOption('--out <bundle>', 'where the model bundle goes')
    .option('--validation <f>', 'share of the events, right before the test events, that validates', '0.2')
    .option('--test <f>', 'share of the events, the newest, that tests the result once (default 0.2)')
    .option('--test-input <path>', 'other data that tests the result once (repeatable)', collect, [])
    .option('--passes <n>', 'how often the training events are gone through', '1')
    .option('--newest <n>', 'only the newest so many training events; 0: all', '0')
    .option('--seed <n>', 'seed of everything that is drawn', '1')
    .option('--backend <name>', 'auto, cpu or cuda', 'auto')
    .option('--threads <n>', 'threads inside the model (results do not depend on it)')
    .option('--key <file>', 'private key that signs the bundle (default: not signed)')
    .option('--parent <bundle>', 'the bundle that this one is to replace: its version is counted on')
    .option('--expires <duration>', 'not installed later than this after its creation', '365d')
    .option('--created <date>', 'date of the bundle (default: SOURCE_DATE_EPOCH, else now)')
    .option('--json [file]', 'the result as JSON, to standard output or a file');
}
