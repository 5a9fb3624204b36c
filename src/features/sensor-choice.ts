/**
 * What the preset of readings comes to for declared fields and labels: the one place that says whether there are windows and
 * whether the most accurate model fits, for gateways, `evaluate`, `train` and `sweep` alike. Promises: what is said
 * of windows stands; streams too wide for `full` have what `fast` has, and the reason can be told.
 */
import { layOut } from './fields.ts';
import {
  type DeclaredFields,
  halfLivesOf,
  type ResolvedSensor,
  type SensorOptions,
  sensorOptions,
} from './sensor-options.ts';

/** What `full` is for. Beyond it a row takes milliseconds, or the model `stack` refuses it (native/core/stack.cpp). */
const MOST_FIELDS = 128;
const MOST_LABELS = 256;
const MOST_COLUMNS = 1_024;

export interface SensorChoice {
  readonly options: ResolvedSensor;
  /** Whether the small and fast model is the one that fits. */
  readonly lean: boolean;
  /** Why there is less than `full` although `fast` was not asked for; null where there is not. */
  readonly because: string | null;
}

/** `labels`: how many. Throws CONFIG_INVALID for declarations that nothing can be made of. */
export function choose(given: SensorOptions, fields: DeclaredFields, labels: number): SensorChoice {
  const { preset, windows, ...others } = given;
  const resolve = (on: boolean): ResolvedSensor => ({ ...others, windows: { ...windows, on } });
  if (preset === 'fast') return { options: resolve(windows.on ?? false), lean: true, because: null };
  const options = resolve(windows.on ?? true);
  const because = tooMuch(options, fields, labels);
  if (because === null) return { options, lean: false, because };
  return { options: resolve(windows.on ?? false), lean: true, because };
}

/**
 * What a person should know who has less than `full` without having said so, in words; null where there is nothing to say.
 * The options are as written down; `model`: whether that was chosen.
 */
export function lessThanFull(
  features: unknown,
  fields: DeclaredFields,
  labels: number,
  model: boolean,
): string | null {
  const options = sensorOptions.safeParse(features ?? {});
  if (!options.success || (options.data.windows.on !== undefined && model)) return null;
  let because: string | null;
  try {
    ({ because } = choose(options.data, fields, labels));
  } catch {
    return null; // What is wrong with it is said elsewhere.
  }
  if (because === null) return null;
  const has = [
    ...(options.data.windows.on === undefined ? ['no windows'] : []),
    ...(model ? [] : ['the model `linear`']),
  ];
  return `${because}: where nothing is said it has ${has.join(' and ')}, as with the preset \`fast\``;
}

function tooMuch(options: ResolvedSensor, fields: DeclaredFields, labels: number): string | null {
  const declared = Object.keys(fields).length;
  if (declared > MOST_FIELDS) return `there are ${declared} fields, more than ${MOST_FIELDS}`;
  if (labels > MOST_LABELS) return `there are ${labels} labels, more than ${MOST_LABELS}`;
  const { columns } = layOut(options, fields, statNames(options));
  if (columns.length <= MOST_COLUMNS) return null;
  return `its rows have ${columns.length} columns, more than ${MOST_COLUMNS}`;
}

/** The columns of a window, by what they tell. */
export function statNames({ windows }: ResolvedSensor): readonly string[] {
  if (!windows.on) return [];
  const halves = halfLivesOf(windows);
  return windows.stats.flatMap((stat) =>
    stat === 'ewma' || stat === 'departure' ? halves.map(({ name }) => `${stat} ${name}`) : [stat],
  );
}
