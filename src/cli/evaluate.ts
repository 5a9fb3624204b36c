/**
 * `sluice evaluate TASK --input PATH …`: tests a task on data, every event unseen when it is scored. TASK is `spam`,
 * `sensor` or a task of `-c FILE`. The result is a table on standard output, or JSON; progress goes to
 * standard error when it is a terminal. Refuses (USAGE) words it does not know and options that would do nothing.
 */
import { systemClock } from '../clock.ts';
import { readInput } from '../io/files.ts';
import { openEngine } from '../model/engine.ts';
import { type Evaluation, evaluate, type Protocol, shuffle } from '../task/evaluation.ts';
import { type Feedback, parseFeedback } from '../task/feedback.ts';
import { presets } from '../task/presets.ts';
import { reportLines } from '../task/report.ts';
import {
  checkLag,
  DEFAULT_FRACTION,
  type Given,
  oneOf,
  parseInput,
  parseProtocol,
  parseTestFrom,
  threadsOf,
  usage,
  WORKERS,
  whole,
  workersOf,
} from './evaluate/asked.ts';
import { defineData, defineModel, planTask } from './evaluate/data.ts';
import { asTrained, FROZEN, loadFrozen, openFrozen } from './evaluate/frozen.ts';
import { HtmlFile, inputNames, Progress, ScoreFile } from './evaluate/output.ts';
import { collect, type DefineVerb, print, printJson, type Terminal } from './terminal.ts';

export const define: DefineVerb = (command, terminal) => {
  defineModel(defineData(command.argument('<task>', 'spam, sensor, or a task of -c FILE'), 'data to test on'))
    .optionsGroup('Test:')
    .option('--train <path>', 'data to learn first (repeatable)', collect, [])
    .option('--bundle <file>', 'tests the model of a bundle as it is: nothing is learned')
    .option('--protocol <kind>', 'prequential (score, then learn, in order) or holdout', 'prequential')
    .option(
      '--train-fraction <f>',
      `holdout: the first part of the stream that trains (default ${DEFAULT_FRACTION})`,
    )
    .option('--shuffle', 'holdout: shuffle the stream first (default: never)')
    .option('--test-from <n>', 'prequential: counts from the n-th event on (default: all that are unseen)')
    .option('--feedback <words>', 'which labels come, and when: see below; joined by commas', 'immediate')
    .optionsGroup('Run and result:')
    .option('--seed <n>', 'seed of everything that is drawn', '1')
    .option('--backend <name>', 'auto, cpu or cuda', 'auto')
    .option('--threads <n>', 'threads inside the model (results do not depend on it)')
    .option('--workers <n>', WORKERS, '0')
    .option('--json [file]', 'the result as JSON, to standard output or a file')
    .option('--html <file>', 'a report with plots: one HTML file that needs no network')
    .option('--scores <file>', 'one line a tested event: id, label, predicted label, score; tabs between')
    .addHelpText('after', EXAMPLES)
    .action((task: string, given: Given) => run(task, given, terminal));
};

const EXAMPLES = `
Feedback:
  immediate      the label of each event comes at once
  delayed:N      labels for the first N events only; those after them are tested
  lag:N, lag:2d  each label comes N events, or so much time, later
  partial:F      labels for a random share F of the events
  noisy:F        a share F of the labels is wrong; tested against the true ones
  active:N       the model may ask for N labels
  errors:F       labels for a share F of the verdicts that were not right: wrong, or no opinion (while
                 the model has learned too little for a label, and where the decision is unsure)

Examples:
  sluice evaluate spam --input mail/index.tsv
  sluice evaluate spam --input ham=Mail/inbox --input spam=Mail/junk --feedback errors:0.3,lag:200
  sluice evaluate spam --input sms.tsv --format tsv --columns label,text --text text
  sluice evaluate sensor --input plant.csv --label fault --protocol holdout --train-fraction 0.5`;

// ------------------------------------------------------------------ running

async function run(name: string, given: Given, terminal: Terminal): Promise<void> {
  if (given.config === undefined) oneOf('task', name, presets);
  if (given.input.length === 0) throw usage('--input PATH is needed: the data to test on');
  const input = parseInput(given);
  const bundle = openFrozen(given);
  const protocol = bundle ? FROZEN : parseProtocol(given);
  const testFrom = parseTestFrom(given);
  const feedback: Feedback = parseFeedback(given.feedback);
  const seed = whole('--seed', given.seed);
  const backend = oneOf('--backend', given.backend, ['auto', 'cpu', 'cuda']);
  const threads = given.threads === undefined ? undefined : threadsOf(given.threads);
  const workers = workersOf(given.workers);
  const { task, sufficient, total, leftOut, less, kind } = await planTask(name, given, input, seed, (spec) =>
    bundle ? asTrained(bundle, spec) : spec,
  );
  checkLag(given, feedback, kind);
  for (const { column, reason } of leftOut)
    terminal.stderr.write(`column ${column} is left out: it ${reason}\n`);
  if (less !== null) terminal.stderr.write(`${less}\n`);
  const progress = new Progress(terminal, total);
  const scores = given.scores === undefined ? null : new ScoreFile(given.scores, task);
  let report: HtmlFile | null = null;
  try {
    report = given.html === undefined ? null : new HtmlFile(given.html, task);
    const listeners = [scores, report?.collector].filter((each) => each !== null && each !== undefined);
    const stream = readInput({ ...input, path: given.input });
    const engine = openEngine({ backend, threads });
    const result = await evaluate({
      task,
      engine,
      model: bundle ? loadFrozen(bundle, task, engine) : undefined,
      train: given.train.length > 0 ? readInput({ ...input, path: given.train }) : null,
      input: given.shuffle ? shuffle(stream, seed) : stream,
      total,
      protocol,
      testFrom,
      feedback,
      sufficient,
      seed,
      workers,
      onTested:
        listeners.length === 0
          ? undefined
          : (tested) => {
              for (const each of listeners) each.add(tested);
            },
      onProgress: (events, accuracy) => progress.show(events, accuracy),
    });
    progress.clear();
    const head = headOf(name, given, protocol);
    report?.write({ ...head, inputs: inputNames(given.input), at: systemClock.now() }, result);
    await show(head, given, result, terminal);
  } finally {
    progress.clear();
    scores?.close();
    report?.close();
  }
}

function headOf(task: string, given: Given, protocol: Protocol) {
  const fraction = protocol.kind === 'holdout' ? { trainFraction: protocol.trainFraction } : {};
  const counted = given.testFrom === undefined ? {} : { testFrom: Number(given.testFrom) };
  const bundle = given.bundle === undefined ? {} : { bundle: given.bundle };
  const preset = given.preset === undefined ? {} : { preset: given.preset };
  return {
    ...{ task, protocol: protocol.kind, ...fraction, ...counted, feedback: given.feedback },
    ...{ ...preset, ...bundle },
  };
}

async function show(
  head: ReturnType<typeof headOf>,
  given: Given,
  result: Evaluation,
  terminal: Terminal,
): Promise<void> {
  if (given.json !== undefined) await printJson(terminal, given.json, { ...head, ...result });
  if (given.json !== true && given.json !== '-') {
    for (const line of reportLines(head, result)) print(terminal, line);
  }
}
