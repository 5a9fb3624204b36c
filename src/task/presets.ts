/**
 * The tasks that `evaluate` knows without a configuration, made from the data itself: `spam` (mails) and `sensor`
 * (readings, their fields inferred from the first rows). The label is never a field, nor is a column that
 * only numbers the rows, names them, or tells the time: a model that learns those has learned the file. Refuses
 * data without any usable field or with fewer than two labels.
 */
import { pointerTo } from '../decode/pointer.ts';
import { SluiceError } from '../errors.ts';
import { inferColumns, type LeftOut } from './columns.ts';
import type { TaskSpec } from './task.ts';

/** Rows that fields are inferred from. */
export const SAMPLE = 1_000;

export const presets = ['spam', 'sensor'] as const;

/** What is known of the data. */
export interface Survey {
  readonly labels: Iterable<string>;
  /** The first payloads, SAMPLE of them at most. */
  readonly sample: readonly Uint8Array[];
}

/** Labels in sorted order: as numbers where all are, else by code unit. */
export function sortLabels(labels: Iterable<string>): string[] {
  const all = [...labels];
  const numeric = all.every((label) => label.trim() !== '' && Number.isFinite(Number(label)));
  const text = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
  return all.sort((a, b) => (numeric ? Number(a) - Number(b) || text(a, b) : text(a, b)));
}

function labelsOf(survey: Survey): string[] {
  const labels = sortLabels(survey.labels);
  if (labels.length >= 2) return labels;
  const found = labels.length === 0 ? 'none' : `only ${labels[0]}`;
  throw new SluiceError(
    'INPUT_INVALID',
    `the data needs at least two labels, it has ${found}; --label names their column, LABEL=PATH labels a mailbox`,
  );
}

export interface PresetOptions {
  readonly positive?: string;
  readonly seed: number;
}

/** Mail. The labels are ham and spam, also where the data has but one of them, unless it has others. */
export function spamTask(survey: Survey, options: PresetOptions): TaskSpec {
  const found = [...survey.labels];
  const usual = ['ham', 'spam'];
  const labels = found.length > 0 && found.every((label) => usual.includes(label)) ? usual : labelsOf(survey);
  return { name: 'spam', event: 'email', labels, decode: { kind: 'mime' }, ...options };
}

/**
 * Readings; windows and model are those of any task that says nothing of them. `device`: the column that names who sent
 * them. Throws INPUT_INVALID where there is none of that name.
 */
export function sensorTask(
  survey: Survey,
  { device, ...options }: PresetOptions & { readonly device?: string },
): { readonly spec: TaskSpec; readonly leftOut: readonly LeftOut[] } {
  const labels = labelsOf(survey);
  const { columns, leftOut } = inferColumns(survey.sample);
  const known = [...columns.keys(), ...leftOut.map(({ column }) => column)];
  if (device !== undefined && !known.includes(device))
    throw new SluiceError(
      'INPUT_INVALID',
      `no column ${JSON.stringify(device)}; there are ${known.join(', ')}`,
    );
  const taken = [...columns].filter(([name]) => name !== device);
  const fields = Object.fromEntries(taken.map(([name, type]) => [name, { type }]));
  const by = device === undefined ? {} : { device: { pointer: pointerTo(device) } };
  const decode = { kind: 'json', options: { fields, ...by } } as const;
  const others = leftOut.filter(({ column }) => column !== device);
  const spec: TaskSpec = { name: 'sensor', event: 'sensor', labels, decode, ...options };
  return { spec, leftOut: others };
}
