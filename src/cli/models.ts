/**
 * `sluice models …`: the registry of a hub from the command line, beside a running hub or without one. Reading shows
 * what is there now; whatever changes the fleet is an order that the hub follows (models/ask.ts). Bundles in files
 * can be looked at, compared, signed and verified without any registry.
 */
import type { Command } from 'commander';
import { type AskOptions, askForRollback, askOfModel, askOfTask } from './models/ask.ts';
import { diff } from './models/diff.ts';
import { list } from './models/list.ts';
import { type Where, withPlace } from './models/place.ts';
import { type SignOptions, sign, verify } from './models/seal.ts';
import { show } from './models/show.ts';
import type { DefineVerb, Terminal } from './terminal.ts';

const MODEL = 'digits of its digest (six or more), v3, or a bundle file';
const JSON_HELP = 'as JSON, to standard output or a file';

export const define: DefineVerb = (command, terminal) => {
  command.addHelpText('after', EXAMPLES);
  defineReading(command, terminal);
  defineSealing(command, terminal);
  defineOrders(command, terminal);
};

const EXAMPLES = `
A model is named by six or more digits of its digest, by v3 (with --task where several tasks have one),
or by the file of a bundle. promote, reject, rollback, pause, resume and stop are orders: a running hub
follows them within seconds, and without one the next hub that starts.

Examples:
  sluice models list -c hub.yaml
  sluice models diff v2 v3 -c hub.yaml --task machine
  sluice models verify machine.bundle --trust trusted-keys
  sluice models rollback machine -c hub.yaml`;

function verb(command: Command, name: string, summary: string): Command {
  return withPlace(command.command(name).description(summary)).option('--json [file]', JSON_HELP);
}

const taskOption = ['--task <name>', 'only of this task'] as const;

function defineReading(command: Command, terminal: Terminal): void {
  verb(command, 'list', 'every model: stage, quality, size, age, and why')
    .option(...taskOption)
    .action((options: Where) => list(options, terminal));
  verb(command, 'show', 'one model: where it comes from, how good it is, who signed it')
    .argument('<model>', MODEL)
    .option(...taskOption)
    .option('--trust <file>', 'trusted public keys, to name the signer')
    .action((name: string, options: Where) => show(name, options, terminal));
  verb(command, 'diff', 'what changed from one model to another')
    .argument('<model>', MODEL)
    .argument('<other>', 'the same')
    .option(...taskOption)
    .action((a: string, b: string, options: Where) => diff(a, b, options, terminal));
}

function defineSealing(command: Command, terminal: Terminal): void {
  verb(command, 'sign', 'sign a bundle file, in place of any older signature')
    .argument('<file>', 'the bundle')
    .option('--key <file>', 'private key; default `hub.key` of the configuration')
    .option('--out <file>', 'write here instead of over the file')
    .option('--expires <duration>', 'how long from now it may be installed, as in 90d; default as it was')
    .action((file: string, options: SignOptions) => sign(file, options, terminal));
  verb(command, 'verify', 'whether a gateway would install a bundle file; exit 1 and the reason where not')
    .argument('<file>', 'the bundle')
    .option('--trust <file>', 'trusted public keys; default those of the configuration')
    .action((file: string, options: Where) => verify(file, options, terminal));
}

function defineOrders(command: Command, terminal: Terminal): void {
  const by = ['--by <name>', 'who asks, for the audit log; default the user'] as const;
  for (const [what, summary] of [
    ['promote', 'approve a candidate, so that it is rolled out'],
    ['reject', 'refuse a candidate or canary'],
  ] as const)
    verb(command, what, summary)
      .argument('<model>', MODEL)
      .option(...taskOption)
      .option(...by)
      .action((name: string, options: AskOptions) => askOfModel(what, name, options, terminal));
  verb(command, 'rollback', 'go back to the model before, or to the one named')
    .argument('<task>', 'whose model')
    .argument('[model]', 'digits of its digest, or v3')
    .option(...by)
    .action((task: string, name: string | undefined, options: AskOptions) =>
      askForRollback(task, name, options, terminal),
    );
  for (const [what, summary] of [
    ['pause', "hold a task's roll-out where it is"],
    ['resume', 'go on with it'],
    ['stop', 'end it; what is live stays live'],
  ] as const)
    verb(command, what, summary)
      .argument('<task>', 'whose roll-out')
      .option(...by)
      .action((task: string, options: AskOptions) => askOfTask(what, task, options, terminal));
}
