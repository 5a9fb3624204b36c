/**
 * The verbs, one row each: a line of help and the file that defines it, imported only when the verb is
 * used, so that `--help` stays quick. Adding a verb is one file that exports `define` (see DefineVerb)
 * and one row here. Every failure leaves as `sluice: CODE: message` with a line that says what to do
 * and the exit code of the table of errors; no stack trace reaches a user.
 */
import { Command, CommanderError, Help } from 'commander';
import { asSluiceError, type SluiceError } from '../errors.ts';
import type { DefineVerb, Terminal } from './terminal.ts';
import { version } from './version.ts';

interface Verb {
  readonly summary: string;
  readonly load?: () => Promise<{ readonly define: DefineVerb }>;
  /** What brings it, where it is not built yet: the verb then says so and exits 2. */
  readonly later?: string;
  readonly hidden?: boolean;
}

export const verbs: Readonly<Record<string, Verb>> = {
  run: { summary: 'a gateway, until it is told to stop', load: () => import('./run.ts') },
  demo: {
    summary: 'the whole loop on built-in defaults: what `npm start` runs',
    load: () => import('./demo.ts'),
  },
  lint: { summary: 'check a configuration: every error with its place', load: () => import('./lint.ts') },
  schema: { summary: 'JSON Schema of the configuration, for editors', load: () => import('./schema.ts') },
  decode: {
    summary: 'the event and the feature row of a message on stdin',
    load: () => import('./decode.ts'),
  },
  evaluate: { summary: 'test a task on data', load: () => import('./evaluate.ts') },
  tap: { summary: 'verdicts, feedback and metrics as they pass the broker', load: () => import('./tap.ts') },
  doctor: {
    summary: 'what was found here: backend, brokers, store, clock',
    load: () => import('./doctor.ts'),
  },
  dead: { summary: 'dead letters: list, show, replay, drop', load: () => import('./dead.ts') },
  bench: { summary: 'the benchmarks of a checkout', load: () => import('./bench.ts') },
  docs: { summary: 'write the generated documentation', load: () => import('./docs.ts'), hidden: true },
  init: { summary: 'write a configuration from what a broker sends', load: () => import('./init.ts') },
  train: { summary: 'train one configuration', load: () => import('./train.ts') },
  sweep: { summary: 'many experiments, the best one tested once', load: () => import('./sweep.ts') },
  models: {
    summary: 'the registry: list, show, compare, sign, verify, promote, roll back, pause',
    load: () => import('./models.ts'),
  },
  explain: {
    summary: "the features that decided one event's verdict",
    load: () => import('./explain.ts'),
  },
  feedback: { summary: 'send labels for events', load: () => import('./feedback.ts') },
  forget: { summary: 'take an event back out of model and store', load: () => import('./forget.ts') },
  keys: { summary: 'signing keys and whom this gateway trusts', load: () => import('./keys.ts') },
  state: { summary: 'back up and restore the store', load: () => import('./state.ts') },
};

const NOT_YET = 'Not yet:';

/** Runs one command line (without `node` and the script). Resolves to the exit code; never throws. */
export async function runCli(argv: readonly string[], terminal: Terminal): Promise<number> {
  try {
    const program = await build(argv, terminal);
    if (argv.length === 0) {
      program.outputHelp({ error: true });
      return 2;
    }
    // commander would answer `bogus --help` with the help of all.
    const verb = namedVerb(argv);
    const unknown = verb !== undefined && verb !== 'help' && !Object.hasOwn(verbs, verb);
    await program.parseAsync(unknown ? [verb] : [...argv], { from: 'user' });
    return terminal.exitCode;
  } catch (error) {
    // commander has said already what was wrong, and where help was asked for its code is 0.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    return showFailure(asSluiceError(error), terminal);
  }
}

/** The verb of a command line; `sluice help VERB` names one too. */
function namedVerb(argv: readonly string[]): string | undefined {
  const words = argv.filter((argument) => !argument.startsWith('-'));
  return words[0] === 'help' ? words[1] : words[0];
}

/** The program with every verb named, and the one that `argv` uses defined. */
async function build(argv: readonly string[], terminal: Terminal): Promise<Command> {
  const program = new Command('sluice')
    .description('Classifies streams where they arise: e-mail and sensor events from MQTT, Kafka and files.')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .showSuggestionAfterError()
    .configureHelp(HELP);
  const named = namedVerb(argv);
  for (const [name, verb] of Object.entries(verbs)) {
    const command = program.command(name).description(verb.summary);
    command.helpGroup(verb.later ? NOT_YET : 'Verbs:');
    if (verb.later) defineLater(command, verb.later, terminal);
    else if (name === named) (await verb.load!()).define(command, terminal);
  }
  program.addHelpText(
    'after',
    '\nExit codes: 0 done, 1 failed, 2 usage, 78 configuration refused, 130 interrupted.\nHelp on a verb: sluice VERB --help',
  );
  for (const command of everyCommand(program)) direct(command, terminal);
  return program;
}

/** An empty list says nothing as a default, and the arguments of a verb stand in its own help. */
const HELP: Partial<Help> = {
  visibleCommands: (command) => command.commands.filter((c) => c.name() !== 'help' && !isHidden(c.name())),
  optionDescription: (option) => new Help().optionDescription(option).replace(' (default: [])', ''),
  subcommandTerm: (command) => new Help().subcommandTerm(command).replace(/ \[(options|args\.\.\.)\]/g, ''),
};

const isHidden = (name: string): boolean => Object.hasOwn(verbs, name) && verbs[name].hidden === true;

function defineLater(command: Command, what: string, terminal: Terminal): void {
  command
    .argument('[args...]')
    .allowUnknownOption()
    .addHelpText('before', `not yet: comes with ${what}\n`)
    .action(() => {
      terminal.stderr.write(`sluice: ${command.name()}: not yet: comes with ${what}\n`);
      terminal.exitCode = 2;
    });
}

function everyCommand(command: Command): Command[] {
  return [command, ...command.commands.flatMap(everyCommand)];
}

/** `sluice models list` */
function called(command: Command): string {
  return command.parent ? `${called(command.parent)} ${command.name()}` : command.name();
}

/** Output goes to the terminal that was handed in, and nothing ends the process. */
function direct(command: Command, terminal: Terminal): void {
  command.exitOverride().configureOutput({
    writeOut: (text) => void terminal.stdout.write(text),
    writeErr: (text) => void terminal.stderr.write(text),
    outputError: (text, write) => {
      const what = text.replace(/^error: /, '').trimEnd();
      write(`sluice: USAGE: ${what}\n  See \`${called(command)} --help\`.\n`);
    },
    getOutHelpWidth: () => terminal.stdout.columns ?? 80,
    getErrHelpWidth: () => terminal.stderr.columns ?? 80,
    getOutHasColors: () => false,
    getErrHasColors: () => false,
  });
}

/** Writes `sluice: CODE: message` and what to do; returns the exit code. */
export function showFailure(error: SluiceError, terminal: Terminal): number {
  terminal.stderr.write(`sluice: ${error.code}: ${error.message}\n  ${error.help}\n`);
  if (error.code === 'INTERNAL' && terminal.env.SLUICE_DEBUG)
    terminal.stderr.write(`${error.stack}\n${String(error.cause ?? '')}\n`);
  return error.exit;
}
