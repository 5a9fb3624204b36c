/**
 * `sluice evaluate TASK --input PATH …`: tests a task on data, every event unseen when it is scored. TASK is `spam`,
 * `sensor` or a task of `-c FILE`. The result is a table on standard output, or JSON; progress goes to
 * standard error when it is a terminal. Refuses (USAGE) words it does not know and options that would do nothing.
 */
import type { Command } from 'commander';
import { taskSpec } from '../app/spec.ts';
import { loadConfig } from '../config.ts';
import { asSluiceError, SluiceError } from '../errors.ts';
import { formats, type InputOptions, readInput, surveyInput } from '../io/files.ts';
import { openEngine } from '../model/engine.ts';
import { modelKinds } from '../model/kinds.ts';
import type { LeftOut } from '../task/columns.ts';
import { type Evaluation, evaluate, type Protocol, shuffle } from '../task/evaluation.ts';
import { type Feedback, parseFeedback } from '../task/feedback.ts';
import { presets, SAMPLE, sensorTask, spamTask } from '../task/presets.ts';
import { reportLines } from '../task/report.ts';
import { openTask, type Task, type TaskSpec } from '../task/task.ts';
import {
  adjust,
  checkLag,
  DEFAULT_FRACTION,
  type Given,
  oneOf,
  parseInput,
  parseProtocol,
  threadsOf,
  usage,
  whole,
} from './evaluate/asked.ts';
import { Progress, ScoreFile } from './evaluate/output.ts';
import { collect, type DefineVerb, print, printJson, type Terminal } from './terminal.ts';

export const define: DefineVerb = (command, terminal) => {
  defineData(command.argument('<task>', 'spam, sensor, or a task of -c FILE'))
    .option('--protocol <kind>', 'prequential (score, then learn, in order) or holdout', 'prequential')
    .option(
      '--train-fraction <f>',
      `holdout: the first part of the stream that trains (default ${DEFAULT_FRACTION})`,
    )
    .option('--shuffle', 'holdout: shuffle the stream first (default: never)')
    .option(
      '--feedback <words>',
      'immediate, or delayed:N lag:N|2d partial:F noisy:F active:N errors:F, joined by commas',
      'immediate',
    )
    .option('--model <kind>', `model: ${Object.keys(modelKinds).join(', ')}`)
    .option(
      '--set <key=value>',
      'hyper-parameter of the model, or features.KEY=VALUE (repeatable)',
      collect,
      [],
    )
    .option('--seed <n>', 'seed of everything that is drawn', '1')
    .option('--backend <name>', 'auto, cpu or cuda', 'auto')
    .option('--threads <n>', 'threads inside the model (results do not depend on it)')
    .option('--json [file]', 'the result as JSON, to standard output or a file')
    .option('--scores <file>', 'one line a tested event: id, label, predicted label, score; tabs between')
    .addHelpText('after', EXAMPLES)
    .action((task: string, given: Given) => run(task, given, terminal));
};

function defineData(command: Command): Command {
  return command
    .option('-c, --config <file>', 'configuration that TASK is in')
    .requiredOption(
      '--input <path>',
      'data to test on; LABEL=PATH labels a mailbox or folder (repeatable)',
      collect,
      [],
    )
    .option('--train <path>', 'data to learn first (repeatable)', collect, [])
    .option('--label <column>', 'column with the label (default: label, else class)')
    .option('--positive <label>', 'of two labels the one that scores are for (default: the last)')
    .option('--format <name>', `${formats.join(', ')} (default: guessed)`)
    .option('--separator <char>', 'between the cells of CSV (default: guessed)')
    .option('--columns <a,b,…>', 'column names of a table without a header line')
    .option('--text <column>', 'column whose text is the body of a mail')
    .option('--time <column>', "column with the event's time");
}

const EXAMPLES = `
Examples:
  sluice evaluate spam --input mail/index.tsv
  sluice evaluate spam --input ham=Mail/inbox --input spam=Mail/junk --feedback errors:0.3,lag:200
  sluice evaluate spam --input sms.tsv --format tsv --columns label,text --text text
  sluice evaluate sensor --input plant.csv --label fault --protocol holdout --train-fraction 0.5`;

// ------------------------------------------------------------------ the task

interface Plan {
  readonly task: Task;
  /** Messages of --input. */
  readonly total: number;
  readonly leftOut: readonly LeftOut[];
  readonly kind: 'mail' | 'reading';
}

async function plan(
  name: string,
  given: Given,
  input: Omit<InputOptions, 'path'>,
  seed: number,
): Promise<Plan> {
  const tested = await surveyInput({ ...input, path: given.input }, SAMPLE);
  const trained = given.train.length > 0 ? await surveyInput({ ...input, path: given.train }, SAMPLE) : null;
  const labels = new Set([...(trained?.labels.keys() ?? []), ...tested.labels.keys()]);
  if (labels.size === 0)
    throw new SluiceError(
      'INPUT_INVALID',
      'the data has no labels; --label names their column, LABEL=PATH labels a mailbox',
    );
  const survey = { labels, sample: [...(trained?.sample ?? []), ...tested.sample].slice(0, SAMPLE) };
  const { spec, leftOut } = chooseTask(name, given, survey, seed);
  if (spec.decode.kind === 'mime' && tested.kind === 'reading')
    throw usage(`task ${name} reads mail, the input is a table: --text names the column with the text`);
  if (spec.decode.kind !== 'mime' && tested.kind === 'mail')
    throw usage(`task ${name} reads sensor readings, the input is mail`);
  return { task: open(adjust(spec, given), given), total: tested.messages, leftOut, kind: tested.kind };
}

function chooseTask(
  name: string,
  given: Given,
  survey: { readonly labels: Iterable<string>; readonly sample: readonly Uint8Array[] },
  seed: number,
): { readonly spec: TaskSpec; readonly leftOut: readonly LeftOut[] } {
  if (given.config !== undefined) {
    const config = loadConfig(given.config);
    oneOf('task', name, Object.keys(config.tasks));
    return { spec: { ...taskSpec(config, name), seed }, leftOut: [] };
  }
  const options = { seed, model: { kind: Object.keys(modelKinds)[0] } };
  return name === 'spam' ? { spec: spamTask(survey, options), leftOut: [] } : sensorTask(survey, options);
}

/** Without a configuration file, what a task does not take was said on the command line. */
function open(spec: TaskSpec, given: Given): Task {
  if (given.positive !== undefined) oneOf('--positive', given.positive, spec.labels);
  try {
    return openTask(spec);
  } catch (error) {
    const known = asSluiceError(error);
    if (known.code === 'CONFIG_INVALID' && given.config === undefined) throw usage(known.message);
    throw known;
  }
}

// ------------------------------------------------------------------ running

async function run(name: string, given: Given, terminal: Terminal): Promise<void> {
  if (given.config === undefined) oneOf('task', name, presets);
  if (given.input.length === 0) throw usage('--input PATH is needed: the data to test on');
  const input = parseInput(given);
  const protocol = parseProtocol(given);
  const feedback: Feedback = parseFeedback(given.feedback);
  const seed = whole('--seed', given.seed);
  const backend = oneOf('--backend', given.backend, ['auto', 'cpu', 'cuda']);
  const threads = given.threads === undefined ? undefined : threadsOf(given.threads);
  const { task, total, leftOut, kind } = await plan(name, given, input, seed);
  checkLag(given, feedback, kind);
  for (const { column, reason } of leftOut)
    terminal.stderr.write(`column ${column} is left out: it ${reason}\n`);
  const progress = new Progress(terminal, total);
  const scores = given.scores === undefined ? null : new ScoreFile(given.scores, task);
  try {
    const stream = readInput({ ...input, path: given.input });
    const result = await evaluate({
      task,
      engine: openEngine({ backend, threads }),
      train: given.train.length > 0 ? readInput({ ...input, path: given.train }) : null,
      input: given.shuffle ? shuffle(stream, seed) : stream,
      total,
      protocol,
      feedback,
      seed,
      onTested: scores ? (tested) => scores.add(tested) : undefined,
      onProgress: (events, accuracy) => progress.show(events, accuracy),
    });
    progress.clear();
    await show(name, given, protocol, result, terminal);
  } finally {
    progress.clear();
    scores?.close();
  }
}

async function show(
  task: string,
  given: Given,
  protocol: Protocol,
  result: Evaluation,
  terminal: Terminal,
): Promise<void> {
  const fraction = protocol.kind === 'holdout' ? { trainFraction: protocol.trainFraction } : {};
  const head = { task, protocol: protocol.kind, ...fraction, feedback: given.feedback };
  if (given.json !== undefined) await printJson(terminal, given.json, { ...head, ...result });
  if (given.json !== true && given.json !== '-') {
    for (const line of reportLines(head, result)) print(terminal, line);
  }
}
