/**
 * The data of a command line and the task that it is for: the same options and the same task for `evaluate`, `train`
 * and `sweep`. Refuses data without labels, and mail where a task reads readings, or the other way round.
 */
import type { Command } from 'commander';
import { taskSpec } from '../../app/spec.ts';
import { loadConfig } from '../../config.ts';
import { asSluiceError, SluiceError } from '../../errors.ts';
import { mailPresets } from '../../features/email-options.ts';
import { lessThanFull } from '../../features/sensor-choice.ts';
import type { DeclaredFields } from '../../features/sensor-options.ts';
import { formats, type InputOptions, surveyInput } from '../../io/files.ts';
import { modelKinds } from '../../model/kinds.ts';
import type { LeftOut } from '../../task/columns.ts';
import { SAMPLE, sensorTask, spamTask } from '../../task/presets.ts';
import { openTask, type Task, type TaskSpec } from '../../task/task.ts';
import { SUFFICIENT, type Sufficient } from '../../task/verdict.ts';
import { collect } from '../terminal.ts';
import { adjust, checkModel, type DataGiven, oneOf, usage } from './asked.ts';

/** Adds what names data and how it is read. `purpose`: what --input is for. */
export function defineData(command: Command, purpose: string): Command {
  return command
    .optionsGroup('Data:')
    .option('-c, --config <file>', 'configuration that TASK is in')
    .requiredOption(
      '--input <path>',
      `${purpose}; LABEL=PATH labels a mailbox or folder (repeatable)`,
      collect,
      [],
    )
    .option('--label <column>', 'column with the label (default: label, else class)')
    .option('--positive <label>', 'of two labels the one that scores are for (default: the last)')
    .option('--format <name>', `${formats.join(', ')} (default: guessed)`)
    .option('--separator <char>', 'between the cells of CSV (default: guessed)')
    .option('--columns <a,b,…>', 'column names of a table without a header line')
    .option('--text <column>', 'column whose text is the body of a mail')
    .option('--time <column>', "column with the event's time")
    .option('--device <column>', 'column that names the device of a reading, whose windows are its own');
}

/** Adds --model and --set. */
export function defineModel(command: Command): Command {
  return command
    .optionsGroup('Model:')
    .option('--model <kind>', `model: ${Object.keys(modelKinds).join(', ')}`)
    .option('--preset <name>', `features and model: ${mailPresets.join(', ')}`)
    .option(
      '--set <key=value>',
      'hyper-parameter of the model, features.KEY, fields.NAME.KEY (or fields.*.KEY), decision.KEY, or selfTraining=off (repeatable)',
      collect,
      [],
    );
}

export interface TaskPlan {
  readonly task: Task;
  readonly spec: TaskSpec;
  /** What its model must learn before verdicts carry a label. */
  readonly sufficient: Sufficient;
  /** Messages of --input. */
  readonly total: number;
  readonly leftOut: readonly LeftOut[];
  /** Why its features and model are less than the most accurate ones, in words; null where they are as asked. */
  readonly less: string | null;
  readonly kind: 'mail' | 'reading';
}

/** The task that fits the data; `change` has the last word on it. */
export async function planTask(
  name: string,
  given: DataGiven,
  input: Omit<InputOptions, 'path'>,
  seed: number,
  change: (spec: TaskSpec) => TaskSpec = (spec) => spec,
): Promise<TaskPlan> {
  const tested = await surveyInput({ ...input, path: given.input }, SAMPLE);
  const trained = given.train.length > 0 ? await surveyInput({ ...input, path: given.train }, SAMPLE) : null;
  const labels = new Set([...(trained?.labels.keys() ?? []), ...tested.labels.keys()]);
  if (labels.size === 0)
    throw new SluiceError(
      'INPUT_INVALID',
      'the data has no labels; --label names their column, LABEL=PATH labels a mailbox',
    );
  const survey = { labels, sample: [...(trained?.sample ?? []), ...tested.sample].slice(0, SAMPLE) };
  const chosen = chooseTask(name, given, survey, seed);
  if (chosen.spec.decode.kind === 'mime' && tested.kind === 'reading')
    throw usage(`task ${name} reads mail, the input is a table: --text names the column with the text`);
  if (chosen.spec.decode.kind !== 'mime' && tested.kind === 'mail')
    throw usage(`task ${name} reads sensor readings, the input is mail`);
  const spec = change(adjust(chosen.spec, given));
  const { leftOut, sufficient } = chosen;
  const task = open(spec, given);
  // The kind that fits the rows is named from here on.
  const bound = { ...spec, model: { ...spec.model, kind: task.model.kind } };
  const { messages: total, kind } = tested;
  return { task, spec: bound, sufficient, total, leftOut, less: lessOf(spec), kind };
}

function lessOf({ event, features, decode, labels, model }: TaskSpec): string | null {
  if (event !== 'sensor') return null;
  const { fields } = decode.options as { readonly fields: DeclaredFields };
  return lessThanFull(features?.options, fields, labels.length, model?.kind !== undefined);
}

function chooseTask(
  name: string,
  given: DataGiven,
  survey: { readonly labels: Iterable<string>; readonly sample: readonly Uint8Array[] },
  seed: number,
): Pick<TaskPlan, 'spec' | 'sufficient' | 'leftOut'> {
  if (given.config !== undefined) {
    const config = loadConfig(given.config);
    oneOf('task', name, Object.keys(config.tasks));
    if (given.device !== undefined) throw usage('--device: the configuration says what names the device');
    const { minLabels: labels, minPerLabel: perLabel } = config.tasks[name];
    return { spec: { ...taskSpec(config, name), seed }, sufficient: { labels, perLabel }, leftOut: [] };
  }
  return { ...presetOf(name, given, survey, seed), sufficient: SUFFICIENT };
}

function presetOf(
  name: string,
  { device }: DataGiven,
  survey: { readonly labels: Iterable<string>; readonly sample: readonly Uint8Array[] },
  seed: number,
): { readonly spec: TaskSpec; readonly leftOut: readonly LeftOut[] } {
  if (name !== 'spam') return sensorTask(survey, { seed, device });
  if (device !== undefined) throw usage('--device is for readings');
  return { spec: spamTask(survey, { seed }), leftOut: [] };
}

/** Without a configuration file, what a task does not take was said on the command line. */
function open(spec: TaskSpec, given: DataGiven): Task {
  if (given.positive !== undefined) oneOf('--positive', given.positive, spec.labels);
  try {
    return openTask(spec);
  } catch (error) {
    const known = asSluiceError(error);
    if (known.code !== 'CONFIG_INVALID') throw known;
    if (given.set.length > 0) checkModel(spec);
    if (given.config === undefined) throw usage(known.message);
    throw known;
  }
}
