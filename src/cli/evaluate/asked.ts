/**
 * What was asked of `evaluate`, `train` or `sweep` on the command line, checked. Refuses (USAGE) words that are unknown and options that would do
 * nothing, each by its name and with what is allowed.
 */
import { explain } from '../../config/explain.ts';
import { SluiceError } from '../../errors.ts';
import { mailPresets } from '../../features/email-options.ts';
import { featurizers } from '../../features/index.ts';
import { sensorPresets } from '../../features/sensor-options.ts';
import { type FileFormat, formats, type InputOptions } from '../../io/files.ts';
import { findModelKind } from '../../model/kinds.ts';
import { decisionOptions } from '../../task/decision/options.ts';
import type { Protocol } from '../../task/evaluation.ts';
import type { Feedback } from '../../task/feedback.ts';
import { type SelfTrainingGiven, selfTrainingOption } from '../../task/self-training.ts';
import { openTask, type TaskSpec } from '../../task/task.ts';

/** What names data, the task and its model; as commander gives it. */
export interface DataGiven {
  readonly config?: string;
  readonly input: string[];
  readonly train: string[];
  readonly label?: string;
  readonly positive?: string;
  readonly format?: string;
  readonly separator?: string;
  readonly columns?: string;
  readonly text?: string;
  readonly time?: string;
  readonly device?: string;
  readonly model?: string;
  readonly preset?: string;
  readonly set: string[];
}

/** What `evaluate` is asked for. */
export interface Given extends DataGiven {
  readonly protocol: string;
  readonly trainFraction?: string;
  readonly shuffle?: boolean;
  readonly testFrom?: string;
  readonly feedback: string;
  readonly bundle?: string;
  readonly seed: string;
  readonly backend: string;
  readonly threads?: string;
  readonly workers: string;
  readonly json?: string | true;
  readonly scores?: string;
  readonly html?: string;
}

export const DEFAULT_FRACTION = 0.7;

export function usage(text: string): SluiceError {
  return new SluiceError('USAGE', text);
}

export function oneOf<T extends string>(option: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((each) => each === value);
  if (found !== undefined) return found;
  throw usage(`${option} ${value}: is not one of ${allowed.join(', ')}`);
}

export function whole(option: string, text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value)) return value;
  throw usage(`${option} ${text}: needs a whole number from 0`);
}

export function threadsOf(text: string): number {
  const threads = whole('--threads', text);
  if (threads > 0) return threads;
  throw usage('--threads 0: needs a whole number from 1; leave it out for the default');
}

export const WORKERS =
  'threads beside this one that decode mail and make its features (results do not depend on it)';
const MOST_WORKERS = 64;

export function workersOf(text: string): number {
  const workers = whole('--workers', text);
  if (workers <= MOST_WORKERS) return workers;
  throw usage(`--workers ${text}: needs a whole number from 0 to ${MOST_WORKERS}`);
}

/** Times come from --time, from a mail itself, or where a configuration says. */
export function checkLag(given: Given, feedback: Feedback, kind: 'mail' | 'reading'): void {
  if (feedback.lagMs === 0 || kind === 'mail' || given.time !== undefined || given.config !== undefined)
    return;
  throw usage(`--feedback ${given.feedback}: a lag in time needs --time COLUMN`);
}

export function parseInput(given: DataGiven): Omit<InputOptions, 'path'> {
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

export function parseProtocol(given: Given): Protocol {
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

/** The first event that counts, from 0. */
export function parseTestFrom({ testFrom, protocol }: Given): number {
  if (testFrom === undefined) return 0;
  if (protocol !== 'prequential')
    throw usage('--test-from is for --protocol prequential: holdout has a cut of its own');
  const first = whole('--test-from', testFrom);
  if (first === 0) throw usage('--test-from 0: the first event is number 1');
  return first - 1;
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

/** Complains in the words of `lint`. */
function check(complaints: readonly string[]): void {
  if (complaints.length > 0) throw usage(complaints.map((text) => `--set ${text}`).join('\n'));
}

function checkTask(event: TaskSpec['event'], features: object, decision: object): void {
  check([
    ...explain(featurizers[event].options, features).map((text) => `features.${text}`),
    ...explain(decisionOptions, decision).map((text) => `decision.${text}`),
  ]);
}

/** Complains about the options of a task's model in the words of `lint`; a kind that does not exist is complained about elsewhere. */
export function checkModel(spec: TaskSpec): void {
  const kind = spec.model?.kind ?? openTask({ ...spec, model: undefined }).model.kind;
  const row = findModelKind(kind);
  if (row !== null) check(explain(row.options, spec.model?.options ?? {}));
}

/** The declared fields of readings with `fields.NAME.KEY=VALUE`; NAME `*` is every field of the type that KEY is for. */
function adjustFields(
  decode: TaskSpec['decode'],
  [name, ...key]: readonly string[],
  value: string,
): TaskSpec['decode'] {
  const options = (decode.options ?? {}) as { readonly fields?: Readonly<Record<string, { type?: string }>> };
  if (!options.fields) throw usage('--set fields: is for readings');
  if (name !== '*') oneOf('--set fields', name, Object.keys(options.fields));
  if (key.length === 0) throw usage(`--set fields.${name}: needs fields.NAME.KEY=VALUE`);
  const wanted = key[0] === 'encode' ? 'category' : 'number';
  const fields = Object.entries(options.fields).map(([each, field]) => {
    if (name === '*' ? (field.type ?? 'number') !== wanted : name !== each) return [each, field];
    const changed: Record<string, unknown> = { ...field };
    assign(changed, key, value);
    return [each, changed];
  });
  return { ...decode, options: { ...options, fields: Object.fromEntries(fields) } };
}

function presetFor(event: TaskSpec['event'], preset: string): string {
  return oneOf('--preset', preset, event === 'email' ? mailPresets : sensorPresets);
}

function selfTrainingOf(value: string): SelfTrainingGiven {
  return oneOf('--set selfTraining', value, selfTrainingOption.unwrap().options);
}

/** `--model`, `--preset` and `--set` on top of a task; what is said of its model is not checked yet. */
export function adjust(spec: TaskSpec, given: DataGiven): TaskSpec {
  const { model: configured } = spec;
  const model: Record<string, unknown> =
    given.model === undefined || given.model === configured?.kind ? { ...configured?.options } : {};
  const features: Record<string, unknown> = {
    ...(spec.features?.options as Record<string, unknown> | undefined),
  };
  const decision: Record<string, unknown> = { ...(spec.decision as Record<string, unknown> | undefined) };
  let { selfTraining, decode } = spec;
  if (given.preset !== undefined) features.preset = presetFor(spec.event, given.preset);
  for (const setting of given.set) {
    const cut = setting.indexOf('=');
    if (cut <= 0) throw usage(`--set ${setting}: needs KEY=VALUE`);
    const path = setting.slice(0, cut).split('.');
    const value = setting.slice(cut + 1);
    if (path[0] === 'features' && path.length > 1) assign(features, path.slice(1), value);
    else if (path[0] === 'fields' && path.length > 1) decode = adjustFields(decode, path.slice(1), value);
    else if (path[0] === 'decision' && path.length > 1) assign(decision, path.slice(1), value);
    else if (setting.startsWith('selfTraining=')) selfTraining = selfTrainingOf(value);
    else assign(model, path[0] === 'model' ? path.slice(1) : path, value);
  }
  checkTask(spec.event, features, decision);
  const changed = { ...spec, decode, features: { options: features }, decision, selfTraining };
  const kind = given.model ?? configured?.kind;
  return { ...changed, positive: given.positive ?? spec.positive, model: { kind, options: model } };
}
