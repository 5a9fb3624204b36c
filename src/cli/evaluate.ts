/**
 * `sluice evaluate TASK --input PATH …`: tests a task on data, every event unseen when it is scored. TASK is `spam`,
 * `sensor` or a task of `-c FILE`. The result is a table on standard output, or JSON; progress goes to
 * standard error when it is a terminal. Refuses (USAGE) words it does not know and options that would do nothing.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import type { Command } from 'commander';
import { taskSpec } from '../app/spec.ts';
import { loadConfig } from '../config.ts';
import { asSluiceError, SluiceError } from '../errors.ts';
import { type FileFormat, formats, type InputOptions, readInput, surveyInput } from '../io/files.ts';
import { openEngine } from '../model/engine.ts';
import { modelKinds } from '../model/kinds.ts';
import type { LeftOut } from '../task/columns.ts';
import { type Evaluation, evaluate, type Protocol, shuffle } from '../task/evaluation.ts';
import { type Feedback, parseFeedback } from '../task/feedback.ts';
import { SAMPLE, sensorTask, spamTask } from '../task/presets.ts';
import type { Tested } from '../task/protocols.ts';
import { reportLines } from '../task/report.ts';
import { openTask, type Task, type TaskSpec } from '../task/task.ts';
import { collect, type DefineVerb, print, printJson, type Terminal } from './terminal.ts';

/** As commander gives them. */
interface Given {
  readonly config?: string;
  readonly input: string[];
  readonly train: string[];
  readonly label?: string;
  readonly positive?: string;
  readonly protocol: string;
  readonly trainFraction?: string;
  readonly shuffle?: boolean;
  readonly feedback: string;
  readonly format?: string;
  readonly separator?: string;
  readonly columns?: string;
  readonly text?: string;
  readonly time?: string;
  readonly model?: string;
  readonly set: string[];
  readonly seed: string;
  readonly backend: string;
  readonly threads?: string;
  readonly json?: string | true;
  readonly scores?: string;
}

const DEFAULT_FRACTION = 0.7;

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
    .option('--json [file]', 'the result as JSON, to a file or (-) standard output')
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

function usage(text: string): SluiceError {
  return new SluiceError('USAGE', text);
}

function oneOf<T extends string>(option: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((each) => each === value);
  if (found !== undefined) return found;
  throw usage(`${option} ${value}: is not one of ${allowed.join(', ')}`);
}

function whole(option: string, text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value)) return value;
  throw usage(`${option} ${text}: needs a whole number from 0`);
}

// ------------------------------------------------------------------ what was asked for

function parseInput(given: Given): Omit<InputOptions, 'path'> {
  const { label, text, time, separator } = given;
  const format: FileFormat | undefined =
    given.format === undefined ? undefined : oneOf('--format', given.format, formats);
  const named: Readonly<Record<string, string>> = { '\\t': '\t', tab: '\t', comma: ',', semicolon: ';' };
  const cut = separator === undefined ? undefined : (named[separator] ?? separator);
  if (cut !== undefined && cut.length !== 1) throw usage(`--separator ${separator}: needs one character`);
  for (const path of [...given.input, ...given.train]) {
    if (path.startsWith('kafka:'))
      throw usage(`--input ${path}: replaying a topic is not built yet; give files`);
  }
  return { format, label, text, time, separator: cut, columns: given.columns?.split(',') };
}

function parseProtocol(given: Given): Protocol {
  const kind = oneOf('--protocol', given.protocol, ['prequential', 'holdout']);
  if (kind === 'prequential') {
    if (given.trainFraction !== undefined) throw usage('--train-fraction is for --protocol holdout');
    if (given.shuffle) throw usage('--shuffle is for --protocol holdout: prequential is about order');
    return { kind };
  }
  // With --train the training part is there already.
  const text = given.trainFraction ?? (given.train.length > 0 ? '0' : String(DEFAULT_FRACTION));
  const trainFraction = Number(text);
  if (text === '' || !(trainFraction >= 0 && trainFraction < 1))
    throw usage(`--train-fraction ${text}: needs a share from 0 to below 1`);
  return { kind, trainFraction };
}

/** `a.b=c` into an object; numbers and true or false are what they look like. */
function assign(target: Record<string, unknown>, path: readonly string[], value: string): void {
  const [head, ...rest] = path;
  if (rest.length > 0) {
    const inner = Object.hasOwn(target, head) ? target[head] : {};
    const next = { ...(inner as Record<string, unknown>) };
    assign(next, rest, value);
    target[head] = next;
    return;
  }
  const number = Number(value);
  target[head] =
    value === 'true' || value === 'false'
      ? value === 'true'
      : value !== '' && !Number.isNaN(number)
        ? number
        : value;
}

/** `--model` and `--set` on top of a task. */
function adjust(spec: TaskSpec, given: Given): TaskSpec {
  const kind = given.model ?? spec.model.kind;
  const model: Record<string, unknown> = kind === spec.model.kind ? { ...spec.model.options } : {};
  const features: Record<string, unknown> = {
    ...(spec.features?.options as Record<string, unknown> | undefined),
  };
  for (const setting of given.set) {
    const cut = setting.indexOf('=');
    if (cut <= 0) throw usage(`--set ${setting}: needs KEY=VALUE`);
    const path = setting.slice(0, cut).split('.');
    const value = setting.slice(cut + 1);
    if (path[0] === 'features' && path.length > 1) assign(features, path.slice(1), value);
    else assign(model, path[0] === 'model' ? path.slice(1) : path, value);
  }
  const positive = given.positive ?? spec.positive;
  return { ...spec, positive, model: { kind, options: model }, features: { options: features } };
}

// ------------------------------------------------------------------ the task

interface Plan {
  readonly task: Task;
  /** Messages of --input. */
  readonly total: number;
  readonly leftOut: readonly LeftOut[];
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
  return { task: open(adjust(spec, given), given), total: tested.messages, leftOut };
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
  const preset = oneOf('task', name, ['spam', 'sensor']);
  return preset === 'spam' ? { spec: spamTask(survey, options), leftOut: [] } : sensorTask(survey, options);
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
  const input = parseInput(given);
  const protocol = parseProtocol(given);
  const feedback: Feedback = parseFeedback(given.feedback);
  const seed = whole('--seed', given.seed);
  const backend = oneOf('--backend', given.backend, ['auto', 'cpu', 'cuda']);
  const threads = given.threads === undefined ? undefined : whole('--threads', given.threads);
  const { task, total, leftOut } = await plan(name, given, input, seed);
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

/** `id <tab> label <tab> predicted <tab> score`: of two labels the score of the positive one, else of the predicted. */
class ScoreFile {
  readonly #file: number;
  readonly #task: Task;
  #text = '';

  constructor(path: string, task: Task) {
    this.#task = task;
    try {
      this.#file = openSync(path, 'w');
    } catch (error) {
      throw usage(`--scores ${path}: ${(error as Error).message}`);
    }
  }

  add({ id, truth, predicted, scores, offset }: Tested): void {
    const { labels, positive } = this.#task;
    const score = scores[offset + (labels.length === 2 ? positive : predicted)];
    // Nine digits tell any two 32-bit floats apart.
    const cells = [
      id.replace(/[\t\r\n]/g, ' '),
      labels[truth],
      labels[predicted],
      Number(score.toPrecision(9)),
    ];
    this.#text += `${cells.join('\t')}\n`;
    if (this.#text.length > 65_536) this.#flush();
  }

  #flush(): void {
    writeSync(this.#file, this.#text);
    this.#text = '';
  }

  close(): void {
    this.#flush();
    closeSync(this.#file);
  }
}

/** A bar with rate and time to go, on a terminal only, ten times a second. */
class Progress {
  readonly #terminal: Terminal;
  readonly #total: number;
  readonly #started = performance.now();
  #shown = 0;

  constructor(terminal: Terminal, total: number) {
    this.#terminal = terminal;
    this.#total = Math.max(1, total);
  }

  show(events: number, accuracy: number): void {
    const now = performance.now();
    if (!this.#terminal.stderr.isTTY || now - this.#shown < 100) return;
    this.#shown = now;
    const share = Math.min(1, events / this.#total);
    const rate = (events * 1_000) / (now - this.#started);
    const bar = '█'.repeat(Math.round(share * 24)).padEnd(24, '░');
    const left = Math.ceil((this.#total - events) / Math.max(rate, 1e-9));
    const line = `${bar} ${Math.round(share * 100)} %  ${Math.round(rate)}/s  ${left} s to go  accuracy ${(accuracy * 100).toFixed(2)} %`;
    this.#terminal.stderr.write(`\r\x1b[K${line.slice(0, (this.#terminal.stderr.columns ?? 80) - 1)}`);
  }

  clear(): void {
    if (this.#shown > 0) this.#terminal.stderr.write('\r\x1b[K');
    this.#shown = 0;
  }
}
